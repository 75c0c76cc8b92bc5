//! How requests are made: the keys that `scrape_configs`, `http_sd_configs` and `remote_write` share, in Prometheus'
//! own names.

use crate::config::section::Map;
use crate::config::{Credential, Secret};
use crate::tls::{Identity, Trust};

/// How requests are made: what scraping, discovery and remote write have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// What is sent as `Authorization`.
    pub auth: Option<Auth>,
    /// Whom to believe over TLS, and who we are.
    pub trust: Trust,
    /// `tls_config.server_name`: the name that the certificate must be for, instead of that of the URL.
    pub server_name: Option<String>,
    /// `follow_redirects`: at most three.
    pub follow_redirects: bool,
}

impl Default for Client {
    fn default() -> Self {
        Client { auth: None, trust: Trust::default(), server_name: None, follow_redirects: true }
    }
}

/// What is sent as `Authorization`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `basic_auth`; a missing part is empty.
    Basic {
        /// The name, which may also be in a file.
        user: Option<Credential>,
        /// The password.
        password: Option<Credential>,
    },
    /// `authorization`: a type, `Bearer` by default, and the credentials.
    Token {
        /// The type.
        kind: String,
        /// What follows it.
        token: Credential,
    },
}

impl Client {
    /// Reads the keys of a mapping that say how requests are made.
    pub(crate) fn read(map: &Map<'_, '_, '_>) -> Client {
        let mut client = Client::default();
        if let Some(follow) = map.flag("follow_redirects") {
            client.follow_redirects = follow;
        }
        let basic = map.map("basic_auth").map(|basic| {
            // A name is no secret, but it may stand in a file too.
            let user = match basic.text("username") {
                Some(name) => Some(Credential::Given(Secret::new(name))),
                None => basic.path("username_file").map(Credential::File),
            };
            let _ = basic.path("username_file");
            let password = basic.credential("password", "password_file");
            basic.finish(&["username_ref", "password_ref"]);
            Auth::Basic { user, password }
        });
        let token = map.map("authorization").and_then(|authorization| {
            let kind = authorization.text("type").unwrap_or_else(|| "Bearer".into());
            let token = authorization.credential("credentials", "credentials_file");
            authorization.finish(&["credentials_ref"]);
            let valid = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_graphic());
            if !valid || kind.eq_ignore_ascii_case("basic") {
                authorization_fault(map, &kind);
            }
            Some(Auth::Token { kind, token: token? })
        });
        let bearer = map
            .credential("bearer_token", "bearer_token_file")
            .map(|token| Auth::Token { kind: "Bearer".into(), token });
        let given = [basic, token, bearer];
        if given.iter().flatten().count() > 1 {
            map.fault(
                "authorization",
                "of `basic_auth`, `authorization` and `bearer_token` only one is possible",
            );
        }
        client.auth = given.into_iter().flatten().next();
        let Client { trust, server_name, .. } = Client::read_tls(map);
        Client { trust, server_name, ..client }
    }

    /// Reads `tls_config` alone, for connections that are not HTTP.
    pub(crate) fn read_tls(map: &Map<'_, '_, '_>) -> Client {
        let mut client = Client::default();
        if let Some(tls) = map.map("tls_config") {
            client.trust.ca_file = tls.path("ca_file");
            if let Some(skip) = tls.flag("insecure_skip_verify") {
                client.trust.insecure_skip_verify = skip;
            }
            client.server_name = tls.text("server_name").filter(|name| !name.is_empty());
            client.trust.identity = match (tls.path("cert_file"), tls.path("key_file")) {
                (Some(cert_file), Some(key_file)) => Some(Identity { cert_file, key_file }),
                (None, None) => None,
                _ => {
                    map.fault("tls_config", "`cert_file` and `key_file` belong together");
                    None
                }
            };
            tls.finish(&["ca", "cert", "key", "ca_ref", "cert_ref", "key_ref", "min_version", "max_version"]);
        }
        client
    }
}

fn authorization_fault(map: &Map<'_, '_, '_>, kind: &str) {
    map.fault("authorization", format!("the type {kind:?} is not possible; for a password use `basic_auth`"));
}
