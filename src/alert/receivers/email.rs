//! `email_configs`: mail by SMTP, through `lettre`.
//!
//! A mail has a part of text and one of HTML, the title as subject, and headers that make mail programs show the notifications of one
//! group as one thread. The connection is encrypted by STARTTLS, and without that nothing is sent (`require_tls`); on port 465 it is
//! encrypted from the begin. Each mail has a connection of its own: they are few.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};
use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Identity, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncTransport, Tokio1Executor};

use super::config::{Global, Texts, needed, smarthost};
use super::message::{Told, facts, hash, one_line};
use super::queue::Outcome;
use super::template::{Text, plain};
use crate::alert::Status;
use crate::config::Credential;
use crate::config::section::Map;
use crate::http_client::{Client, Failure};
use crate::tls::Trust;

/// The port on which the connection is encrypted from the begin (RFC 8314).
const IMPLICIT_TLS: u16 = 465;

/// An item of `email_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    /// `to`: one address or several with commas between.
    pub to: Vec<Mailbox>,
    /// `from`, or `global.smtp_from`.
    pub from: Mailbox,
    /// `smarthost`, or `global.smtp_smarthost`: host and port.
    pub smarthost: (String, u16),
    /// `hello`, or `global.smtp_hello`: what we call ourselves; `localhost` by default.
    pub hello: String,
    /// `auth_username` and `auth_password` (or `auth_password_file`), or those of `global`.
    pub auth: Option<(String, Credential)>,
    /// `require_tls`, or `global.smtp_require_tls`: nothing is sent over a connection that is not encrypted; true by default. A password
    /// needs one in any case, unless the smarthost is this machine.
    pub require_tls: bool,
    /// `tls_config`: whom to believe.
    pub trust: Trust,
    /// `tls_config.server_name`: the name that the certificate must be for, instead of that of the smarthost.
    pub server_name: Option<String>,
    /// `headers`: more of them.
    pub headers: BTreeMap<String, String>,
    /// `headers.Subject`: a template, in place of the title.
    pub subject: Option<Text>,
    /// `text`: a template of the part of plain text.
    pub text: Option<Text>,
    /// `html`: a template of the part of HTML. Values are escaped.
    pub html: Option<Text>,
}

/// Reads an address of mail, with a name before it if there is one.
pub(super) fn mailbox(text: &str) -> Result<Mailbox, String> {
    text.trim().parse().map_err(|_| format!("{text:?} is not an address such as ops@example.org"))
}

/// Headers that are ours to write.
const RESERVED: &[&str] = &[
    "bcc",
    "cc",
    "content-transfer-encoding",
    "content-type",
    "date",
    "from",
    "in-reply-to",
    "message-id",
    "mime-version",
    "references",
    "subject",
    "to",
];

impl Email {
    pub(super) const UNSUPPORTED: &[&str] =
        &["auth_identity", "auth_secret", "auth_secret_file", "force_implicit_tls", "threading"];

    pub(super) fn read(map: &Map<'_, '_, '_>, global: &Global) -> Option<Email> {
        let to = map.parsed("to", |text| text.split(',').map(mailbox).collect::<Result<Vec<_>, _>>());
        let to = needed(map, "to", "an email", to);
        let from = match map.node("from") {
            Some(_) => map.parsed("from", mailbox),
            None => {
                needed(map, "from", "an email", global.smtp_from.as_ref().and_then(|text| mailbox(text).ok()))
            }
        };
        let host = match map.node("smarthost") {
            Some(_) => map.parsed("smarthost", smarthost),
            None => {
                let inherited = global.smtp_smarthost.as_ref().and_then(|text| smarthost(text).ok());
                needed(map, "smarthost", "an email", inherited)
            }
        };
        let hello = map.text("hello").or_else(|| global.smtp_hello.clone());
        let user = map.text("auth_username").or_else(|| global.smtp_auth_username.clone());
        let password =
            map.credential("auth_password", "auth_password_file").or_else(|| global.smtp_password());
        let auth = match (user.filter(|user| !user.is_empty()), password) {
            (Some(user), Some(password)) => Some((user, password)),
            (Some(_), None) => {
                map.fault("auth_username", "`auth_username` needs `auth_password` or `auth_password_file`");
                None
            }
            _ => None,
        };
        let require_tls = map.flag("require_tls").unwrap_or(global.smtp_require_tls);
        let Client { trust, server_name, .. } = Client::read_tls(map);
        let mut headers: Texts = map.labels("headers");
        let subject = headers.keys().find(|name| name.eq_ignore_ascii_case("subject")).cloned();
        let subject = subject.and_then(|name| headers.remove(&name)).and_then(|text| {
            Text::parse(text).map_err(|why| map.fault("headers", format!("Subject: {why}"))).ok()
        });
        let (text, html) = (Text::read(map, "text"), Text::read(map, "html"));
        for name in headers.keys() {
            if RESERVED.contains(&&*name.to_ascii_lowercase()) {
                map.fault("headers", format!("the header {name:?} cannot be set here"));
            } else if !name.is_ascii() || HeaderName::new_from_ascii(name.clone()).is_err() {
                map.fault("headers", format!("{name:?} is no header"));
            }
        }
        Some(Email {
            to: to?,
            from: from?,
            smarthost: host?,
            hello: hello.unwrap_or_else(|| "localhost".into()),
            auth,
            require_tls,
            trust,
            server_name,
            headers,
            subject,
            text,
            html,
        })
    }

    /// Sends a mail within a time.
    pub(super) async fn tell(&self, told: &Told<'_>, within: Duration) -> Outcome {
        let message = match self.message(told) {
            Ok(message) => message,
            Err(failure) => return Outcome::Refused(failure.reason, failure.message),
        };
        let transport = match self.transport(within).await {
            Ok(transport) => transport,
            Err(failure) => return Outcome::Later(failure.reason, failure.message, None),
        };
        match tokio::time::timeout(within, transport.send(message)).await {
            Ok(Ok(_)) => Outcome::Delivered,
            Ok(Err(error)) => verdict(&error),
            Err(_) => {
                let why = format!("not done within {} s", within.as_secs_f64());
                Outcome::Later("timeout", why, None)
            }
        }
    }

    async fn transport(&self, within: Duration) -> Result<AsyncSmtpTransport<Tokio1Executor>, Failure> {
        let (host, port) = &self.smarthost;
        let here = host == "localhost" || host.parse().is_ok_and(|host: IpAddr| host.is_loopback());
        let needed = self.require_tls || (self.auth.is_some() && !here);
        let tls = match (needed, *port) {
            (_, IMPLICIT_TLS) => Tls::Wrapper(self.parameters().await?),
            (true, _) => Tls::Required(self.parameters().await?),
            // Where it is not needed it is taken if the server has it.
            (false, _) => Tls::Opportunistic(self.parameters().await?),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(*port)
            .hello_name(ClientId::Domain(self.hello.clone()))
            .timeout(Some(within))
            .tls(tls);
        if let Some((user, password)) = &self.auth {
            let password = password.read().map_err(|error| Failure::new("credentials", error.to_string()))?;
            builder = builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
        }
        Ok(builder.build())
    }

    /// Reads the files, off the threads that must not wait.
    async fn parameters(&self) -> Result<TlsParameters, Failure> {
        let (trust, name) = (self.trust.clone(), self.server_name.clone());
        let name = name.unwrap_or_else(|| self.smarthost.0.clone());
        let made = tokio::task::spawn_blocking(move || parameters(&trust, name)).await;
        made.map_err(|error| Failure::new("tls", error.to_string()))?.map_err(|why| Failure::new("tls", why))
    }

    fn message(&self, told: &Told<'_>) -> Result<Message, Failure> {
        let wrong = |error: &dyn std::fmt::Display| {
            Failure::new("syntax", format!("no mail can be made of it: {error}"))
        };
        let date = u64::try_from(told.notification.at_ms).unwrap_or(0);
        let thread = format!(
            "<{}@gaugecast>",
            hash(&format!("{}\n{}", told.external_url, told.notification.group_key))
        );
        let key =
            format!("{}\n{}\n{}", told.idempotency_key(), told.notification.id, told.notification.at_ms);
        let own = |text: &Option<Text>, escape| text.as_ref()?.expand(told, escape);
        let subject = own(&self.subject, plain).map_or_else(|| told.title(), |text| one_line(&text));
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(subject)
            .date(UNIX_EPOCH + Duration::from_millis(date))
            // The same at each attempt, so that a mail that came twice is shown once.
            .message_id(Some(format!("<{}@gaugecast>", hash(&key))))
            .in_reply_to(thread.clone())
            .references(thread)
            .user_agent(format!("gaugecast/{}", crate::build::VERSION));
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        // No answers of machines to a machine (RFC 3834).
        let more = self.headers.iter().map(|(name, value)| (&**name, &**value));
        for (name, value) in std::iter::once(("Auto-Submitted", "auto-generated")).chain(more) {
            let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|error| wrong(&error))?;
            builder = builder.raw_header(HeaderValue::new(name, one_line(value)));
        }
        let plain_part = own(&self.text, plain).unwrap_or_else(|| text(told));
        let html_part = own(&self.html, escape).unwrap_or_else(|| html(told));
        let body = MultiPart::alternative_plain_html(plain_part, html_part);
        builder.multipart(body).map_err(|error| wrong(&error))
    }
}

fn parameters(trust: &Trust, name: String) -> Result<TlsParameters, String> {
    let read = |path: &std::path::PathBuf| {
        std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    };
    let mut builder = TlsParameters::builder(name).dangerous_accept_invalid_certs(trust.insecure_skip_verify);
    if let Some(path) = &trust.ca_file {
        let certificate = Certificate::from_pem(&read(path)?);
        let certificate = certificate.map_err(|error| format!("{}: {error}", path.display()))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(certificate);
    }
    if let Some(identity) = &trust.identity {
        let (certificate, key) = (read(&identity.cert_file)?, read(&identity.key_file)?);
        let identity = Identity::from_pem(&certificate, &key).map_err(|error| error.to_string())?;
        builder = builder.identify_with(identity);
    }
    builder.build().map_err(|error| error.to_string())
}

/// What an answer of the server means: 4xx of SMTP may work later, 5xx never will.
fn verdict(error: &lettre::transport::smtp::Error) -> Outcome {
    let cause = std::error::Error::source(error).map_or_else(String::new, |cause| format!(": {cause}"));
    let why = one_line(&format!("{error}{cause}"));
    if error.is_permanent() {
        Outcome::Refused("rejected", why)
    } else if error.is_transient() {
        Outcome::Later("server_error", why, None)
    } else if error.is_tls() || is_unbelievable(error) {
        Outcome::Refused("tls", why)
    } else if error.is_client() {
        // The server offers no STARTTLS, or no way to log in that we know.
        Outcome::Refused("client", why)
    } else if error.is_timeout() {
        Outcome::Later("timeout", why, None)
    } else {
        let refused = why.to_ascii_lowercase().contains("refused");
        Outcome::Later(if refused { "refused" } else { "io" }, why, None)
    }
}

/// Does the server show what cannot be believed? `lettre` tells that as a failure of the connection.
fn is_unbelievable(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|cause| {
        cause.downcast_ref().is_some_and(|io: &std::io::Error| io.kind() == std::io::ErrorKind::InvalidData)
    })
}

fn text(told: &Told<'_>) -> String {
    let mut text = format!("{}\n", told.title());
    let (named, more) = told.named();
    for alert in named {
        let (headline, lines) = facts(alert);
        let _ = write!(text, "\n{headline}\n");
        for (name, said) in lines {
            let _ = writeln!(text, "  {name}: {said}");
        }
        let _ = writeln!(text, "  {}", told.page(alert));
    }
    if more > 0 {
        let _ = write!(text, "\nand {more} more: {}\n", told.alerts_page());
    }
    if let Some(note) = told.note() {
        let _ = write!(text, "\n{note}\n");
    }
    text
}

fn html(told: &Told<'_>) -> String {
    let color = match told.status() {
        Status::Resolved => "#2e7d32",
        Status::Firing => "#b71c1c",
    };
    let mut html = format!(
        "<!doctype html><html><body style=\"font-family:sans-serif\"><h2 style=\"color:{color}\">{}</h2>\n",
        escape(&told.title())
    );
    let (named, more) = told.named();
    for alert in named {
        let (headline, lines) = facts(alert);
        let page = escape(&told.page(alert));
        let _ = writeln!(html, "<h3><a href=\"{page}\">{}</a></h3><table>", escape(&headline));
        for (name, said) in lines {
            let _ =
                writeln!(html, "<tr><th align=\"left\">{}</th><td>{}</td></tr>", escape(name), escape(&said));
        }
        html.push_str("</table>\n");
    }
    if more > 0 {
        let _ = writeln!(html, "<p><a href=\"{}\">and {more} more</a></p>", escape(&told.alerts_page()));
    }
    if let Some(note) = told.note() {
        let _ = writeln!(html, "<p>{note}</p>");
    }
    html.push_str("</body></html>\n");
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::testing::notification;
    use super::*;

    fn email() -> Email {
        Email {
            to: vec![mailbox("a@example.org").unwrap(), mailbox("B <b@example.org>").unwrap()],
            from: mailbox("gaugecast@example.org").unwrap(),
            smarthost: ("localhost".into(), 25),
            hello: "localhost".into(),
            auth: None,
            require_tls: true,
            trust: Trust::default(),
            server_name: None,
            headers: BTreeMap::from([("X-Team".to_owned(), "ops\r\nBcc: c@example.org".to_owned())]),
            subject: None,
            text: None,
            html: None,
        }
    }

    #[test]
    fn a_mail_has_two_parts_and_the_thread_of_its_group() {
        let mut one = notification("team", "g", &["1"]);
        one.alerts[0].labels.insert("job".into(), "<web>\r\nBcc: all@example.org".into());
        let formatted = |told: &crate::alert::Notification| {
            let told = Told::new(told, true, "http://g", 0).unwrap();
            String::from_utf8(email().message(&told).unwrap().formatted()).unwrap()
        };
        let first = formatted(&one);
        let head = first.split("\r\n\r\n").next().unwrap();
        for line in [
            "To: a@example.org, B <b@example.org>",
            "Auto-Submitted: auto-generated",
            "X-Team: ops Bcc: c@example.org",
        ] {
            assert!(head.lines().any(|found| found == line), "{line}: {head}");
        }
        assert!(!head.lines().any(|line| line.starts_with("Bcc:")), "{head}");
        assert!(first.contains("text/plain") && first.contains("text/html"), "{first}");
        let header = |mail: &str, name: &str| {
            mail.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned)).unwrap()
        };
        one.id += 1;
        let second = formatted(&one);
        assert_eq!(header(&first, "References: "), header(&second, "References: "));
        assert_ne!(header(&first, "Message-ID: "), header(&second, "Message-ID: "));
        assert_eq!(
            header(&first, "Message-ID: "),
            header(
                &{
                    one.id -= 1;
                    formatted(&one)
                },
                "Message-ID: "
            )
        );
    }

    #[test]
    fn text_of_an_alert_is_text_in_html() {
        let mut one = notification("team", "g", &["1"]);
        one.alerts[0].annotations.insert("description".into(), "<script>\"&".into());
        let html = html(&Told::new(&one, true, "http://g", 0).unwrap());
        assert!(html.contains("&lt;script&gt;&quot;&amp;") && !html.contains("<script"), "{html}");
    }
}
