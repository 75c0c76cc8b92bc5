//! A bound on what one collector may bring, whatever the host has.

use crate::exposition::page::PageWriter;
use crate::series::Kind;

/// Series of one collector at most. A host with more disks, mounts or interfaces than this allows is one where
/// something makes them by the thousand (containers, a broken automounter), and a filter flag is the answer.
pub(super) const SERIES: usize = 10_000;

/// Counts the devices that did not fit.
#[derive(Debug)]
pub(super) struct Cap {
    collector: &'static str,
    devices: usize,
    warned: bool,
}

impl Cap {
    /// A cap for a collector that writes `per_device` series for each device.
    pub(super) fn new(collector: &'static str, per_device: usize) -> Self {
        Cap { collector, devices: SERIES / per_device, warned: false }
    }

    /// Cuts the list, and tells about it: in the log once, on the page in every pass.
    pub(super) fn cut<T>(&mut self, devices: &mut Vec<T>, page: &mut PageWriter) {
        let over = devices.len().saturating_sub(self.devices);
        if over == 0 {
            return;
        }
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(
                collector = self.collector,
                left_out = over,
                "more devices than one collector may show"
            );
        }
        devices.truncate(self.devices);
        let help = "Devices a collector leaves out because it may show 10,000 series.";
        #[allow(clippy::cast_precision_loss)]
        page.family("gaugecast_collector_devices_over_limit", Kind::Gauge, help)
            .sample(&[("collector", self.collector)], over as f64);
    }
}
