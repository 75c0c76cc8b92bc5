//! What the frames of one subscription say, written from docs/protocol.md.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

/// What a message did.
pub(crate) enum Took {
    /// Nothing of interest.
    Nothing,
    /// A new state is reached.
    Reached,
    /// An event.
    Event(u64),
}

/// The values of a subscription at an offset.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) epoch: String,
    pub(crate) offset: Option<u64>,
    /// Changes with every value; equal for equal states, whatever way led there.
    pub(crate) hash: u64,
    /// Of all values. They are whole numbers, so it is exact.
    pub(crate) sum: f64,
    /// Events were numbered up to this when the first connection was made.
    pub(crate) first_seq: Option<u64>,
    pub(crate) events: BTreeSet<u64>,
    /// Does the answer to the last `subscribe` go on?
    pub(crate) recovered: bool,
    /// Does the server tell events?
    pub(crate) tells_events: bool,
    values: HashMap<u64, f64>,
    parts: Vec<Value>,
}

impl State {
    /// The last event that is known of.
    pub(crate) fn seq(&self) -> Option<u64> {
        self.events.last().copied().max(self.first_seq)
    }

    /// Takes a message of the server; the error says which rule of the protocol it breaks.
    pub(crate) fn take(&mut self, message: Value) -> Result<Took, String> {
        let number = |name: &str| message[name].as_u64().ok_or_else(|| format!("no {name}: {message}"));
        match message["type"].as_str().unwrap_or_default() {
            "welcome" => {
                self.parts.clear();
                self.tells_events =
                    message["features"].as_array().is_some_and(|all| all.contains(&"events".into()));
                self.first_seq = self.first_seq.or(message["seq"].as_u64());
                let epoch = message["epoch"].as_str().ok_or("no epoch")?;
                if !self.epoch.is_empty() && self.epoch != epoch {
                    return Err("the server was started anew".into());
                }
                epoch.clone_into(&mut self.epoch);
            }
            "subscribed" => {
                self.recovered = message["recovered"] == true;
                if !self.recovered {
                    self.clear();
                    self.offset = None;
                }
            }
            "snapshot" | "delta" => {
                let part = message["part"].as_u64().unwrap_or(1);
                if part != self.parts.len() as u64 + 1 {
                    return Err(format!("part {part} after {}", self.parts.len()));
                }
                if message["type"] == "delta" {
                    let (prev, offset) = (number("prev")?, number("offset")?);
                    if Some(prev) != self.offset || offset < prev {
                        return Err(format!(
                            "a delta {prev} to {offset} where {:?} was reached",
                            self.offset
                        ));
                    }
                }
                let is_last = part == message["parts"].as_u64().unwrap_or(1);
                self.parts.push(message);
                if is_last {
                    self.apply()?;
                    return Ok(Took::Reached);
                }
            }
            "event" => {
                let seq = number("seq")?;
                if message["kind"] == "resync" {
                    return Err(format!("events are missing: {message}"));
                }
                if !self.events.insert(seq) || self.events.last() != Some(&seq) {
                    return Err(format!("event {seq} comes twice or late"));
                }
                return Ok(Took::Event(seq));
            }
            "error" => return Err(format!("an error: {message}")),
            _ => {}
        }
        Ok(Took::Nothing)
    }

    fn clear(&mut self) {
        self.values.clear();
        (self.hash, self.sum) = (0, 0.0);
    }

    fn apply(&mut self) -> Result<(), String> {
        let parts = std::mem::take(&mut self.parts);
        if parts[0]["type"] == "snapshot" {
            self.clear();
        }
        for part in &parts {
            for point in part["values"].as_array().ok_or("no values")? {
                let (Some(id), Some(value)) = (point[0].as_u64(), point[1].as_f64()) else {
                    return Err(format!("not a value: {point}"));
                };
                let before = self.values.insert(id, value);
                self.forget(id, before);
                self.hash ^= mixed(id, value);
                self.sum += value;
            }
            for id in part["stale"].as_array().into_iter().flatten().filter_map(Value::as_u64) {
                let before = self.values.remove(&id);
                self.forget(id, before);
            }
        }
        self.offset = parts[0]["offset"].as_u64();
        Ok(())
    }

    fn forget(&mut self, id: u64, before: Option<f64>) {
        if let Some(before) = before {
            self.hash ^= mixed(id, before);
            self.sum -= before;
        }
    }
}

/// splitmix64 of a series and its value.
fn mixed(id: u64, value: f64) -> u64 {
    let mut x = value.to_bits() ^ id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn delta(prev: u64, offset: u64, values: Value) -> Value {
        json!({"type": "delta", "prev": prev, "offset": offset, "values": values})
    }

    /// After `welcome` and a snapshot at offset 3.
    fn state() -> State {
        let mut state = State::default();
        for message in [
            json!({"type": "welcome", "epoch": "07", "seq": 4, "features": ["events"]}),
            json!({"type": "subscribed", "recovered": false}),
            json!({"type": "snapshot", "offset": 3, "values": [[1, 10], [2, 20]]}),
        ] {
            state.take(message).unwrap();
        }
        state
    }

    #[test]
    fn equal_states_have_equal_hashes_whatever_led_there() {
        let (mut one, mut other) = (state(), state());
        one.take(delta(3, 4, json!([[1, 11]]))).unwrap();
        assert_ne!((one.hash, one.sum), (other.hash, other.sum));
        one.take(delta(4, 5, json!([[3, 5], [1, 12]]))).unwrap();
        let mut last = delta(3, 5, json!([[1, 12], [3, 5]]));
        last["stale"] = json!([9]);
        other.take(last).unwrap();
        assert_eq!((one.hash, one.sum, one.offset), (other.hash, other.sum, Some(5)));
        assert_eq!(one.sum, 37.0);
    }

    #[test]
    fn holes_and_what_comes_twice_are_refused() {
        for wrong in [delta(4, 5, json!([])), delta(2, 3, json!([])), delta(3, 2, json!([]))] {
            assert!(state().take(wrong).is_err());
        }
        let event = |seq: u64| json!({"type": "event", "kind": "reload", "seq": seq});
        let mut state = state();
        assert_eq!(state.seq(), Some(4));
        state.take(event(5)).unwrap();
        assert!(state.take(event(5)).is_err());
        state.take(event(8)).unwrap();
        assert!(state.take(event(7)).is_err());
    }
}
