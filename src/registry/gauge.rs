//! Gauges.

use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::metrics::gauge;

use super::instrument::{Instrument, Lines, Refused};
use crate::series::Kind;

macro_rules! gauge {
    ($(#[$doc:meta])* $name:ident, $number:ty, $atomic:ty, $activity:expr, $write:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $name(gauge::Gauge<$number, $atomic>);

        impl $name {
            /// Sets it.
            #[inline]
            pub fn set(&self, value: $number) {
                self.0.set(value);
            }

            /// Adds 1.
            #[inline]
            pub fn inc(&self) {
                self.0.inc();
            }

            /// Takes 1 away.
            #[inline]
            pub fn dec(&self) {
                self.0.dec();
            }

            /// Adds, or takes away if negative.
            #[inline]
            pub fn add(&self, by: $number) {
                self.0.inc_by(by);
            }

            /// The value.
            #[must_use]
            pub fn get(&self) -> $number {
                self.0.get()
            }
        }

        impl Instrument for $name {
            const KIND: Kind = Kind::Gauge;
            type Config = ();

            fn create(_config: &(), _refused: &Refused) -> Self {
                Self::default()
            }

            fn write(&self, lines: &mut Lines<'_>) {
                lines.$write("", self.get());
            }

            fn activity(&self) -> u64 {
                $activity(self.get())
            }
        }
    };
}

gauge!(
    /// A whole number that goes up and down. Wait-free.
    ///
    /// ```
    /// # use gaugecast::registry::{RegisterError, Registry};
    /// # let registry = Registry::new();
    /// let open = registry.gauge(("open_connections", "Connections that are open"))?;
    /// open.inc();
    /// open.set(7);
    /// open.dec();
    /// assert_eq!(open.get(), 6); // open_connections 6
    /// # Ok::<(), RegisterError>(())
    /// ```
    Gauge, i64, AtomicI64, i64::cast_unsigned, whole
);

gauge!(
    /// A number that goes up and down; NaN and infinities are values too. Lock-free.
    ///
    /// ```
    /// # use gaugecast::registry::{Desc, RegisterError, Registry, Unit};
    /// # let registry = Registry::new();
    /// let oven = registry.float_gauge(Desc::new("oven_temperature", "Inside the oven").unit(Unit::Celsius))?;
    /// oven.set(180.5);
    /// assert_eq!(oven.get(), 180.5); // oven_temperature_celsius 180.5
    /// # Ok::<(), RegisterError>(())
    /// ```
    FloatGauge, f64, AtomicU64, f64::to_bits, float
);
