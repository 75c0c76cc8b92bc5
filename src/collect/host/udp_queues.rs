//! `node_udp_queues` from `/proc/net/{udp,udp6}`: bytes waiting in all UDP sockets.

use super::file::Kept;
use super::text::{hex, lines, words};
use crate::collect::filter::Filters;
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

#[derive(Debug)]
pub(super) struct UdpQueues {
    files: [(&'static str, Kept); 2],
}

impl UdpQueues {
    pub(super) fn new(paths: &Paths, _filters: &Filters) -> Self {
        let net = paths.procfs.join("net");
        UdpQueues { files: [("v4", Kept::new(net.join("udp"))), ("v6", Kept::new(net.join("udp6")))] }
    }
}

impl Collector for UdpQueues {
    fn name(&self) -> &'static str {
        "udp_queues"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let help = "Number of allocated memory in the kernel for UDP datagrams in bytes.";
        let mut family = page.family("node_udp_queues", Kind::Gauge, help);
        let mut found = false;
        for (ip, file) in &mut self.files {
            let Some(text) = file.read_if_there()? else { continue };
            found = true;
            let (mut tx, mut rx) = (0.0, 0.0);
            for line in lines(text).skip(1) {
                let queues = words(line).nth(4).unwrap_or_default();
                let mut queues = queues.split(|&byte| byte == b':').map(hex);
                tx += queues.next().flatten().unwrap_or(0.0);
                rx += queues.next().flatten().unwrap_or(0.0);
            }
            family.sample(&[("queue", "tx"), ("ip", ip)], tx);
            family.sample(&[("queue", "rx"), ("ip", ip)], rx);
        }
        if found { Ok(()) } else { Err(CollectError::NoData("the kernel has no UDP".into())) }
    }
}
