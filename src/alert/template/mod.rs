//! The templates in rules and messages: what Prometheus understands of Go's text/template.
