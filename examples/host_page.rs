//! Writes what the host collectors see, once, as `/metrics` would show it:
//! `cargo run --example host_page [-- PROCFS SYSFS ROOTFS]`.

use std::io::Write;

use gaugecast::collect::{Config, Paths, host};
use gaugecast::exposition::page::PageWriter;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut config = Config::default();
    if let [procfs, sysfs, rootfs] = &arguments[..] {
        config.paths = Paths { procfs: procfs.into(), sysfs: sysfs.into(), rootfs: rootfs.into() };
    }
    let mut page = PageWriter::new();
    for mut collector in host::collectors(&config)? {
        if let Err(error) = collector.collect(&mut page) {
            writeln!(std::io::stderr(), "{}: {error}", collector.name())?;
        }
    }
    std::io::stdout().write_all(page.as_bytes())?;
    Ok(())
}
