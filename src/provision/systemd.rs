//! systemd: the service, its socket, its environment and its configuration.

use super::{DEFAULT_PORT, File, Options, put};

pub(super) fn files(options: &Options) -> Vec<File> {
    let port = |text: &str| put(text, &DEFAULT_PORT.to_string(), &options.port.to_string());
    let default = port(include_str!("../../packaging/systemd/gaugecast.default"));
    vec![
        file("gaugecast.service", include_str!("../../packaging/systemd/gaugecast.service").into()),
        file("gaugecast.socket", port(include_str!("../../packaging/systemd/gaugecast.socket"))),
        file("gaugecast.default", listening(&default, options)),
        file("gaugecast.yml", include_str!("../../packaging/systemd/gaugecast.yml").into()),
    ]
}

/// Another port than the default is said to the service; the default needs no word.
fn listening(text: &str, options: &Options) -> String {
    if options.port == DEFAULT_PORT {
        return text.into();
    }
    put(text, "# GAUGECAST_WEB_LISTEN_ADDRESS=", "GAUGECAST_WEB_LISTEN_ADDRESS=")
}

fn file(name: &str, text: String) -> File {
    File::new(format!("packaging/systemd/{name}"), text)
}
