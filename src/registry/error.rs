//! Why a registration or a label set is refused.

/// Why a registration was refused. The registry is then as before.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RegisterError {
    /// The name, or the unit behind it, is not of the form `[a-z_][a-z0-9_]*`, or is not a base unit, or tells the
    /// type.
    #[error("{name}: {reason}")]
    Name {
        /// With unit, as it would be exposed.
        name: String,
        /// Which rule, and what to do instead.
        reason: String,
    },
    /// The help text is empty.
    #[error("{name}: help is empty; say what the metric tells")]
    EmptyHelp {
        /// With unit.
        name: String,
    },
    /// The name is registered already, with another type, help, label set or settings.
    #[error("{name} is registered already with another {difference}")]
    Redefined {
        /// With unit.
        name: String,
        /// `type`, `help`, `unit`, or `label set or settings`.
        difference: &'static str,
    },
    /// Another family exposes a series of the same name: a counter `x` and a gauge `x_total`.
    #[error("{name} would expose {series}, which {other} exposes already")]
    Clash {
        /// With unit.
        name: String,
        /// The name both would expose.
        series: String,
        /// The family that has it.
        other: String,
    },
    /// The labels of an info are not fit for exposition.
    #[error("{name}: {source}")]
    Labels {
        /// With unit.
        name: String,
        /// Why.
        source: LabelError,
    },
    /// An info and a state set have no unit; a state set has 1 to 64 different states.
    #[error("{name}: {reason}")]
    Settings {
        /// With unit.
        name: String,
        /// Why.
        reason: String,
    },
}

/// Why a label set was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// The label name is not of the form `[a-zA-Z_][a-zA-Z0-9_]*`.
    #[error("label name {0:?} is not of the form [a-zA-Z_][a-zA-Z0-9_]*")]
    Name(String),
    /// The label name is `le`, `quantile`, the family's own name, or begins with `__`.
    #[error("label name {0} is reserved")]
    Reserved(String),
    /// A label stands twice.
    #[error("label {0} stands twice")]
    Twice(String),
    /// The label set could not be written out.
    #[error("label set cannot be encoded")]
    Encode,
    /// The cap of the family or of the registry is reached; see [`Family`](super::Family).
    #[error("the cap of label sets is reached")]
    Full,
}

/// Why an observation or an increment was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// A counter does not go down; the sum of a distribution neither.
    #[error("value is negative")]
    Negative,
    /// NaN, or infinite.
    #[error("value is not finite")]
    NotFinite,
    /// A state set has no such state.
    #[error("no such state")]
    UnknownState,
}

impl ValueError {
    /// Value of the label `reason` of `gaugecast_registry_refused_total`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            ValueError::Negative => "negative",
            ValueError::NotFinite => "not_finite",
            ValueError::UnknownState => "unknown_state",
        }
    }
}
