//! What the HELP, TYPE and UNIT lines of a page say, and which family a series belongs to by them.
//!
//! As in Prometheus, such a line counts for its family wherever on the page it stands, and the first of its sort
//! wins. A series belongs to the family of its own name if that has a type, else to the one whose type has the
//! suffix of its name (`_bucket` to a histogram), else it is a family of its own of unknown type.

use hashbrown::HashMap;

use super::parse::{self, Format, Meta};
use crate::series::{FamilyMeta, Kind, Role};

/// What a page says of its families.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    declared: HashMap<String, Declared>,
    /// Lines left out because one of their sort stood before.
    pub(super) repeated: usize,
}

#[derive(Debug, Default)]
struct Declared {
    kind: Option<Kind>,
    help: Option<String>,
    unit: Option<Box<str>>,
}

/// Where a series belongs.
#[derive(Debug, PartialEq)]
pub(super) struct Place {
    /// [`FamilyMeta::name`].
    pub(super) family: String,
    pub(super) role: Role,
    /// Name under which the page declares the family.
    declared: String,
}

impl Metadata {
    /// Reads lines of metadata, in the order of the page. Lines that break the grammar, comments and `# EOF` say
    /// nothing.
    pub(super) fn read<'a>(lines: impl Iterator<Item = &'a [u8]>, format: Format) -> Self {
        let mut metadata = Metadata::default();
        for line in lines {
            let taken = match parse::meta(line, format) {
                Ok(Meta::Help(name, text)) => set(&mut metadata.of(&name).help, text),
                Ok(Meta::Type(name, kind)) => set(&mut metadata.of(&name).kind, kind),
                Ok(Meta::Unit(name, unit)) => set(&mut metadata.of(&name).unit, unit.into()),
                Ok(Meta::Eof | Meta::Comment) | Err(_) => true,
            };
            metadata.repeated += usize::from(!taken);
        }
        metadata
    }

    fn of(&mut self, name: &str) -> &mut Declared {
        self.declared.entry_ref(name).or_default()
    }

    fn kind(&self, name: &str) -> Option<Kind> {
        self.declared.get(name)?.kind
    }

    /// Where the series of that name belongs.
    pub(super) fn place(&self, name: &str, format: Format) -> Place {
        if self.kind(name).is_none()
            && let Some((base, suffix)) = name.rfind('_').map(|at| name.split_at(at))
            && let Some(kind) = self.kind(base)
            && let Some(role) = role(kind, suffix, format)
        {
            let family = match (kind, role) {
                (Kind::Counter, _) => format!("{base}_total"),
                (Kind::Info, _) => name.to_owned(),
                _ => base.to_owned(),
            };
            return Place { family, role, declared: base.to_owned() };
        }
        Place { family: name.to_owned(), role: Role::Value, declared: name.to_owned() }
    }

    /// What the page says of the family at that place.
    pub(super) fn family(&self, place: &Place) -> FamilyMeta {
        let declared = self.declared.get(&place.declared);
        FamilyMeta {
            name: place.family.as_str().into(),
            kind: declared.and_then(|d| d.kind).unwrap_or(Kind::Unknown),
            help: declared.and_then(|d| d.help.as_deref()).unwrap_or_default().into(),
            unit: declared.and_then(|d| d.unit.as_deref()).unwrap_or_default().into(),
        }
    }
}

fn set<T>(place: &mut Option<T>, value: T) -> bool {
    let free = place.is_none();
    if free {
        *place = Some(value);
    }
    free
}

/// What a series with that suffix is in a family of that type; nothing if the type has no such suffix.
fn role(kind: Kind, suffix: &str, format: Format) -> Option<Role> {
    let openmetrics = format == Format::OpenMetrics;
    Some(match (suffix, kind) {
        ("_bucket", Kind::Histogram | Kind::GaugeHistogram) => Role::Bucket,
        ("_sum", Kind::Histogram | Kind::Summary) | ("_gsum", Kind::GaugeHistogram) => Role::Sum,
        ("_count", Kind::Histogram | Kind::Summary) | ("_gcount", Kind::GaugeHistogram) => Role::Count,
        ("_created", Kind::Counter | Kind::Histogram | Kind::Summary) if openmetrics => Role::Created,
        ("_total", Kind::Counter) | ("_info", Kind::Info) if openmetrics => Role::Value,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(metadata: &Metadata, name: &str, format: Format) -> (String, Role) {
        let place = metadata.place(name, format);
        (place.family, place.role)
    }

    #[test]
    fn a_series_belongs_to_the_family_whose_type_has_its_suffix() {
        let lines = [
            "# TYPE c counter",
            "# TYPE h histogram",
            "# TYPE i info",
            "# TYPE s summary",
            "# TYPE g gaugehistogram",
        ];
        let om = Metadata::read(lines.iter().map(|line| line.as_bytes()), Format::OpenMetrics);
        for (name, family, role) in [
            ("c_total", "c_total", Role::Value),
            ("c_created", "c_total", Role::Created),
            ("c", "c", Role::Value),
            ("h_bucket", "h", Role::Bucket),
            ("h_sum", "h", Role::Sum),
            ("h_created", "h", Role::Created),
            ("h_gsum", "h_gsum", Role::Value),
            ("i_info", "i_info", Role::Value),
            ("s", "s", Role::Value),
            ("s_count", "s", Role::Count),
            ("s_bucket", "s_bucket", Role::Value),
            ("g_gcount", "g", Role::Count),
            ("g_count", "g_count", Role::Value),
        ] {
            assert_eq!(place(&om, name, Format::OpenMetrics), (family.into(), role), "{name}");
        }
        let text = Metadata::read(lines.iter().map(|line| line.as_bytes()), Format::Text);
        assert_eq!(place(&text, "c_total", Format::Text), ("c_total".into(), Role::Value));
        assert_eq!(place(&text, "h_created", Format::Text), ("h_created".into(), Role::Value));
    }

    #[test]
    fn the_first_of_repeated_lines_wins_and_the_rest_are_counted() {
        let lines = ["# HELP a one", "# HELP a two", "# TYPE a gauge", "# TYPE a counter"];
        let metadata = Metadata::read(lines.iter().map(|line| line.as_bytes()), Format::Text);
        let family = metadata.family(&metadata.place("a", Format::Text));
        assert_eq!((family.kind, &*family.help, metadata.repeated), (Kind::Gauge, "one", 2));
    }
}
