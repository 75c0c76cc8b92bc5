//! Paths and methods: from the [`table`](super::table) of operations to the one that answers a request.
//!
//! An [`Operation`] is a row of the table: path, methods, what it needs, what it is and what it does. Everything else is made of
//! the rows: which path leads where ([`Routes::find`]), what `Allow` says, who is let in, and the description of the API
//! ([`openapi`](super::openapi)). A path may have one variable part: `:name` is one segment, `*name` is all that follows.

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use hyper::http::request::Parts;
use hyper::{Method, Response};
use tokio::sync::OwnedSemaphorePermit;

use super::app::App;
use super::auth::{Need, Scope, Who};
use super::body::Body;
use super::problem::Problem;

/// A request that was let in, with all that its operation may want of it.
pub(super) struct Call {
    pub(super) app: App,
    pub(super) parts: Parts,
    pub(super) body: Bytes,
    /// The variable part of the path, decoded; empty for one without.
    pub(super) name: String,
    pub(super) peer: Option<SocketAddr>,
    pub(super) who: Who,
    pub(super) routes: Arc<Routes>,
    /// Its place among the writes, of an operation that [`takes_pushes`](Operation::takes_pushes).
    pub(super) place: Option<OwnedSemaphorePermit>,
}

impl Call {
    /// Who asks; 0.0.0.0 where that is not known.
    pub(super) fn peer_or_none(&self) -> SocketAddr {
        self.peer.unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
    }
}

/// What an operation comes to. Dropping it stops the work.
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Problem>> + Send>>;

/// The work of an operation: `does!(call => expression)`, which may await.
macro_rules! does {
    ($call:ident => $answer:expr) => {
        |$call: $crate::server::routes::Call| -> $crate::server::routes::Answering {
            Box::pin(async move { $answer })
        }
    };
}
pub(in crate::server) use does;

/// A row of the table.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    /// Under the route prefix: `/api/v1/label/:name/values`.
    pub(super) path: Cow<'static, str>,
    /// Its label in figures: the path, but for paths that can be set or lead to the same.
    pub(super) label: &'static str,
    pub(super) methods: Vec<Method>,
    pub(super) need: Need,
    /// One line.
    pub(super) about: &'static str,
    /// Of query and form, in the order they are told.
    pub(super) parameters: Vec<Parameter>,
    /// A POST has its parameters in a form.
    pub(super) form: bool,
    /// What the body is, other than a form: its type and the name of its schema, empty for what is no JSON.
    pub(super) body: Option<(&'static str, &'static str)>,
    /// What is answered: types, and the name of the schema of what is JSON.
    pub(super) answer: (&'static [&'static str], &'static str),
    /// Statuses of that answer.
    pub(super) status: &'static [u16],
    /// A request goes on for long: a WebSocket, or an answer without end. Pages of others may not begin one.
    pub(super) streams: bool,
    /// Probes come under the address of a pod or of a balancer, and their answer is no secret.
    pub(super) probe: bool,
    /// Its body may be large, and it has a place among the writes.
    pub(super) takes_pushes: bool,
    pub(super) work: fn(Call) -> Answering,
}

/// A parameter of an operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
    pub(super) about: &'static str,
}

/// What a parameter may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    /// May come several times.
    Texts,
    Integer,
    Number,
    /// `1`, or not there.
    Flag,
    /// RFC 3339 or Unix seconds.
    Time,
    /// `1m30s` or seconds.
    Duration,
    Choice(&'static [&'static str]),
}

impl Parameter {
    /// One that may be left out.
    pub(super) const fn may(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Parameter { name, kind, required: false, about }
    }

    /// One that has to be there.
    pub(super) const fn must(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Parameter { name, kind, required: true, about }
    }
}

const JSON: &[&str] = &["application/json"];

impl Operation {
    fn new(
        methods: &[Method],
        path: &'static str,
        need: Need,
        about: &'static str,
        work: fn(Call) -> Answering,
    ) -> Self {
        Operation {
            label: path,
            path: path.into(),
            methods: methods.to_vec(),
            need,
            about,
            parameters: Vec::new(),
            form: false,
            body: None,
            answer: (JSON, "Success"),
            status: &[200],
            streams: false,
            probe: false,
            takes_pushes: false,
            work,
        }
    }

    /// Its parameters.
    pub(super) fn asks(self, parameters: &[Parameter]) -> Self {
        Operation { parameters: parameters.to_vec(), ..self }
    }

    /// It may be asked by POST with a form too.
    pub(super) fn or_form(mut self) -> Self {
        self.methods.push(Method::POST);
        Operation { form: true, ..self }
    }

    /// It has a body of this type; `schema` is the name of that of JSON.
    pub(super) fn reads(self, content_type: &'static str, schema: &'static str) -> Self {
        Operation { body: Some((content_type, schema)), ..self }
    }

    /// It is answered with JSON of this schema.
    pub(super) fn json(self, schema: &'static str) -> Self {
        Operation { answer: (JSON, schema), ..self }
    }

    /// It is answered in one of these types; JSON among them has the schema.
    pub(super) fn gives(self, types: &'static [&'static str], schema: &'static str) -> Self {
        Operation { answer: (types, schema), ..self }
    }

    /// It is answered so with one of these statuses.
    pub(super) fn status(self, status: &'static [u16]) -> Self {
        Operation { status, ..self }
    }

    /// It goes by this label in figures.
    pub(super) fn called(self, label: &'static str) -> Self {
        Operation { label, ..self }
    }

    /// It is at another path than the one that is its label.
    pub(super) fn at(self, path: String) -> Self {
        Operation { path: path.into(), ..self }
    }

    /// Its body is pushed metrics.
    pub(super) fn takes_pushes(self) -> Self {
        Operation { takes_pushes: true, ..self }
    }

    /// It goes on for long.
    pub(super) fn streams(mut self) -> Self {
        self.methods.retain(|method| *method != Method::HEAD);
        Operation { streams: true, ..self }
    }

    /// It is asked by whoever watches over the process.
    pub(super) fn probe(self) -> Self {
        Operation { probe: true, ..self }
    }
}

/// An operation that shows something, to whoever may read.
pub(super) fn get(path: &'static str, about: &'static str, work: fn(Call) -> Answering) -> Operation {
    Operation::new(&[Method::GET, Method::HEAD], path, Need::Scope(Scope::Read), about, work)
}

/// An operation of another method and scope.
pub(super) fn operation(
    method: Method,
    path: &'static str,
    scope: Scope,
    about: &'static str,
    work: fn(Call) -> Answering,
) -> Operation {
    Operation::new(&[method], path, Need::Scope(scope), about, work)
}

impl Operation {
    /// Does a request of it change something that the audit log tells? Pushes are what the server is for.
    pub(super) fn is_audited(&self, method: &Method) -> bool {
        let changes = matches!(self.need, Need::Scope(Scope::Admin | Scope::AlertsWrite));
        changes && !method.is_safe()
    }

    /// It needs this scope.
    pub(super) fn scope(self, scope: Scope) -> Self {
        Operation { need: Need::Scope(scope), ..self }
    }

    /// It is open to everybody.
    pub(super) fn open(self) -> Self {
        Operation { need: Need::Nothing, ..self }
    }
}

/// The operations of one path.
#[derive(Debug)]
pub(super) struct Route {
    /// Its label in figures.
    pub(super) label: &'static str,
    /// What `Allow` says.
    pub(super) allow: String,
    operations: Vec<Operation>,
}

impl Route {
    /// The operation of a method; for OPTIONS any, since all of a path are alike in what is asked before.
    pub(super) fn operation(&self, method: &Method) -> Option<&Operation> {
        let takes = |operation: &&Operation| operation.methods.contains(method);
        let first = || self.operations.first().filter(|_| *method == Method::OPTIONS);
        self.operations.iter().find(takes).or_else(first)
    }

    /// Is it asked by whoever watches over the process?
    pub(super) fn is_probe(&self) -> bool {
        self.operations.iter().any(|operation| operation.probe)
    }
}

/// All routes.
#[derive(Debug)]
pub(super) struct Routes {
    /// Empty, or `/` and something without `/` at its end.
    pub(super) prefix: String,
    exact: HashMap<String, Route>,
    patterns: Vec<(Pattern, Route)>,
}

/// Where a path leads.
pub(super) enum Found<'a> {
    /// With its variable part.
    Route(&'a Route, &'a str),
    /// The page, without the slash or the prefix its relative links need.
    Home,
    None,
}

impl Routes {
    /// `rows` are the operations; `prefix` stands before all paths.
    pub(super) fn new(prefix: &str, rows: Vec<Operation>) -> Self {
        let prefix = prefix.trim_matches('/');
        let mut by_path: Vec<(String, Vec<Operation>)> = Vec::new();
        for row in rows {
            match by_path.iter_mut().find(|(path, _)| *path == row.path) {
                Some((_, operations)) => operations.push(row),
                None => by_path.push((row.path.clone().into_owned(), vec![row])),
            }
        }
        let mut routes = Routes {
            prefix: if prefix.is_empty() { String::new() } else { format!("/{prefix}") },
            exact: HashMap::new(),
            patterns: Vec::new(),
        };
        for (path, operations) in by_path {
            let route = Route::new(operations);
            match Pattern::of(&path) {
                Some(pattern) => routes.patterns.push((pattern, route)),
                None => drop(routes.exact.insert(path, route)),
            }
        }
        routes
    }

    /// The route of a decoded path.
    pub(super) fn find<'a>(&'a self, path: &'a str) -> Found<'a> {
        match path.strip_prefix(self.prefix.as_str()) {
            Some(rest) if rest.starts_with('/') => {
                if let Some(route) = self.exact.get(rest) {
                    return Found::Route(route, "");
                }
                let found = self.patterns.iter().find_map(|(pattern, route)| {
                    pattern.variable(rest).map(|name| Found::Route(route, name))
                });
                found.unwrap_or(Found::None)
            }
            Some("") => Found::Home,
            _ if path == "/" => Found::Home,
            _ => Found::None,
        }
    }

    /// All operations, by path.
    pub(super) fn operations(&self) -> Vec<&Operation> {
        let routes = self.exact.values().chain(self.patterns.iter().map(|(_, route)| route));
        let mut all: Vec<_> = routes.flat_map(|route| &route.operations).collect();
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all
    }
}

impl Route {
    fn new(operations: Vec<Operation>) -> Self {
        let order = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE];
        let taken = order.iter().filter(|method| operations.iter().any(|row| row.methods.contains(method)));
        let mut allow: Vec<&str> = taken.map(Method::as_str).collect();
        allow.push("OPTIONS");
        let label = operations.first().map_or("", |row| row.label);
        Route { label, allow: allow.join(", "), operations }
    }
}

/// A path with a variable part.
#[derive(Debug)]
struct Pattern {
    before: String,
    after: String,
    /// The variable part may have several segments.
    rest: bool,
}

impl Pattern {
    fn of(path: &str) -> Option<Self> {
        let at = path.find("/:").or_else(|| path.find("/*"))? + 1;
        let (before, variable) = path.split_at(at);
        let end = variable.find('/').unwrap_or(variable.len());
        let rest = variable.starts_with('*');
        Some(Pattern { before: before.to_owned(), after: variable[end..].to_owned(), rest })
    }

    fn variable<'a>(&self, path: &'a str) -> Option<&'a str> {
        let name = path.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())?;
        // A slash that was encoded is part of the name where it is clear how far that goes.
        let within = self.rest || !self.after.is_empty() || !name.contains('/');
        (!name.is_empty() && within).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &'static str) -> Operation {
        get(path, "", does!(_call => Err(Problem::not_found())))
    }

    #[test]
    fn a_path_leads_to_the_row_that_says_it() {
        let rows = vec![row("/a"), row("/a/:name"), row("/a/:name/b"), row("/p/*group")];
        let routes = Routes::new("/live/", rows);
        let find = |path| match routes.find(path) {
            Found::Route(route, name) => Some((route.label, name.to_owned())),
            Found::Home => Some(("home", String::new())),
            Found::None => None,
        };
        let some = |label, name: &str| Some((label, name.to_owned()));
        assert_eq!(find("/live/a"), some("/a", ""));
        assert_eq!(find("/live/a/x y"), some("/a/:name", "x y"));
        assert_eq!(find("/live/a/x/b"), some("/a/:name/b", "x"));
        assert_eq!(find("/live/p/x/y/z"), some("/p/*group", "x/y/z"));
        assert_eq!((find("/live"), find("/")), (some("home", ""), some("home", "")));
        for nowhere in ["/a", "/live/a/", "/live/a/x/c", "/live/a//b", "/live/p/", "/livea"] {
            assert_eq!(find(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn rows_of_one_path_are_one_route() {
        let put =
            operation(Method::PUT, "/a/:name", Scope::Admin, "", does!(_call => Err(Problem::not_found())));
        let routes = Routes::new("", vec![row("/a/:name"), put]);
        let Found::Route(route, _) = routes.find("/a/x") else { panic!("no route") };
        assert_eq!(route.allow, "GET, HEAD, PUT, OPTIONS");
        let need = |method| route.operation(&method).map(|operation| operation.need);
        assert_eq!(need(Method::PUT), Some(Need::Scope(Scope::Admin)));
        assert_eq!(need(Method::HEAD), Some(Need::Scope(Scope::Read)));
        assert_eq!(need(Method::POST), None);
    }
}
