//! Numbers in JSON, which has no infinities and no NaN: those are texts, as Prometheus writes them. For `#[serde(with = …)]`.

use serde::{Deserialize, Deserializer, Serializer, de};

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for it
pub(in crate::alert) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    match *value {
        value if value.is_nan() => to.serialize_str("NaN"),
        f64::INFINITY => to.serialize_str("+Inf"),
        f64::NEG_INFINITY => to.serialize_str("-Inf"),
        value => to.serialize_f64(value),
    }
}

pub(in crate::alert) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Wire {
        Number(f64),
        Text(String),
    }
    match Wire::deserialize(from)? {
        Wire::Number(value) => Ok(value),
        Wire::Text(text) => text.parse().map_err(|_| de::Error::custom(format!("{text:?} is no number"))),
    }
}
