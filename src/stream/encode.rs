//! Writing `schema`, `history`, `snapshot` and `delta`: the frames that carry the numbers, written by hand because they are
//! most of what the server sends.
//!
//! A frame holds at most about [`FRAME`] bytes of items; more are split over several frames that say `part` (from
//! 1) and `parts`. One item that is larger by itself stands alone in its frame.

use super::frame::FrameWriter;
use crate::exposition::json::{push_labels, push_string, push_value};
use crate::history::is_stale;
use crate::series::{FamilyMeta, Series, Tick};

/// Bytes of items in a frame. With the largest list of stale numbers (10,000 of at most 11 bytes, which is how
/// many tombstones a tick keeps) and the fields around them a frame stays below 1 MiB.
const FRAME: usize = 896 << 10;

/// Items of a JSON list, cut into pieces of bounded size.
#[derive(Debug)]
struct Pieces {
    limit: usize,
    done: Vec<Vec<u8>>,
    open: Vec<u8>,
}

impl Pieces {
    fn new(limit: usize) -> Self {
        Pieces { limit, done: Vec::new(), open: Vec::new() }
    }

    fn item(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.open.len();
        if before > 0 {
            self.open.push(b',');
        }
        write(&mut self.open);
        if self.open.len() > self.limit && before > 0 {
            let last = self.open.split_off(before + 1);
            self.open.pop();
            self.done.push(std::mem::replace(&mut self.open, last));
        }
    }

    /// At least one piece, which may be empty.
    fn finish(mut self) -> Vec<Vec<u8>> {
        self.done.push(self.open);
        self.done
    }
}

/// `,"part":2,"parts":3`, or nothing for a message in one piece.
fn part(index: usize, of: usize) -> String {
    if of == 1 { String::new() } else { format!(",\"part\":{},\"parts\":{of}", index + 1) }
}

/// Appends values: `[id,value]`, or `[id,value,time]` where the source gave a time other than the tick's.
#[derive(Debug)]
pub(super) struct Values<'a> {
    tick: &'a Tick,
    exact: bool,
    pieces: Pieces,
}

impl<'a> Values<'a> {
    /// No values yet. `exact`: whole numbers beyond 2^53 as strings.
    pub(super) fn new(tick: &'a Tick, exact: bool) -> Self {
        Values { tick, exact, pieces: Pieces::new(FRAME) }
    }

    /// The value of one series.
    pub(super) fn push(&mut self, series: &Series) {
        let (tick, exact) = (self.tick, self.exact);
        self.pieces.item(|out| {
            out.push(b'[');
            out.extend_from_slice(itoa::Buffer::new().format(series.number).as_bytes());
            out.push(b',');
            push_value(out, tick.value(series), exact);
            if let Some(time) = tick.own_time(series).filter(|time| *time != tick.at.unix_ms) {
                out.push(b',');
                out.extend_from_slice(itoa::Buffer::new().format(time).as_bytes());
            }
            out.push(b']');
        });
    }

    /// Writes a `snapshot` of these values.
    pub(super) fn snapshot(self, channel: u32, frames: &mut FrameWriter) {
        let tick = self.tick;
        let pieces = self.pieces.finish();
        for (i, values) in pieces.iter().enumerate() {
            let head = format!(
                "{{\"type\":\"snapshot\",\"channel\":{channel},\"epoch\":\"{}\",\"offset\":{},\"t\":{}{},\"values\":[",
                tick.epoch,
                tick.offset,
                tick.at.unix_ms,
                part(i, pieces.len()),
            );
            frames.text(&[head.as_bytes(), values, b"]}"]);
        }
    }

    /// Writes a `delta` of these values; `stale` are the numbers of series that are gone, `conflated` is how many
    /// more deltas it stands for, which its first part says.
    pub(super) fn delta(
        self,
        channel: u32,
        prev: u64,
        conflated: u64,
        stale: &[u32],
        frames: &mut FrameWriter,
    ) {
        let tick = self.tick;
        let pieces = self.pieces.finish();
        let mut tail = b"]}".to_vec();
        if !stale.is_empty() {
            tail.clear();
            tail.extend_from_slice(b"],\"stale\":[");
            for (i, number) in stale.iter().enumerate() {
                if i > 0 {
                    tail.push(b',');
                }
                tail.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes());
            }
            tail.extend_from_slice(b"]}");
        }
        let mut count = if conflated == 0 { String::new() } else { format!(",\"conflated\":{conflated}") };
        for (i, values) in pieces.iter().enumerate() {
            let head = format!(
                "{{\"type\":\"delta\",\"channel\":{channel},\"offset\":{},\"prev\":{prev},\"t\":{}{}{count},\"values\":[",
                tick.offset,
                tick.at.unix_ms,
                part(i, pieces.len()),
            );
            count.clear();
            let tail = if i + 1 == pieces.len() { &tail[..] } else { b"]}" };
            frames.text(&[head.as_bytes(), values, tail]);
        }
    }
}

/// Appends the past of series: `[id,[[time,value],…]]`, a stale marker as `null`.
#[derive(Debug)]
pub(super) struct Points {
    exact: bool,
    pieces: Pieces,
}

impl Points {
    /// No points yet. `exact`: whole numbers beyond 2^53 as strings.
    pub(super) fn new(exact: bool) -> Self {
        Points { exact, pieces: Pieces::new(FRAME) }
    }

    /// The points of one series, in order of time.
    pub(super) fn push(&mut self, number: u32, points: &[(i64, f64)]) {
        let exact = self.exact;
        self.pieces.item(|out| {
            out.push(b'[');
            out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            out.extend_from_slice(b",[");
            for (i, &(time, value)) in points.iter().enumerate() {
                out.extend_from_slice(if i > 0 { b",[" } else { b"[" });
                out.extend_from_slice(itoa::Buffer::new().format(time).as_bytes());
                out.push(b',');
                if is_stale(value) {
                    out.extend_from_slice(b"null");
                } else {
                    push_value(out, value, exact);
                }
                out.push(b']');
            }
            out.extend_from_slice(b"]]");
        });
    }

    /// Writes a `history` of these points, which lie from `from` to before `until`, Unix milliseconds.
    pub(super) fn history(self, channel: u32, from: i64, until: i64, frames: &mut FrameWriter) {
        let pieces = self.pieces.finish();
        for (i, points) in pieces.iter().enumerate() {
            let part = part(i, pieces.len());
            let head = format!(
                "{{\"type\":\"history\",\"channel\":{channel},\"from\":{from},\"until\":{until}{part},\"points\":["
            );
            frames.text(&[head.as_bytes(), points, b"]}"]);
        }
    }
}

/// Writes `schema` frames, family after family.
#[derive(Debug)]
pub(super) struct SchemaWriter<'a> {
    channel: u32,
    /// Pieces that are full: families and series.
    done: Vec<(Vec<u8>, Vec<u8>)>,
    families: Vec<u8>,
    series: Vec<u8>,
    /// The family that the open piece told last.
    told: Option<&'a str>,
}

impl<'a> SchemaWriter<'a> {
    /// Nothing yet.
    pub(super) fn new(channel: u32) -> Self {
        SchemaWriter { channel, done: Vec::new(), families: Vec::new(), series: Vec::new(), told: None }
    }

    /// A family. Not needed before its series; alone it tells that type, help or unit are others now.
    pub(super) fn family(&mut self, meta: &'a FamilyMeta) {
        if self.told == Some(&*meta.name) {
            return;
        }
        self.told = Some(&meta.name);
        if !self.families.is_empty() {
            self.families.push(b',');
        }
        push_string(&mut self.families, &meta.name);
        self.families.extend_from_slice(b":{\"type\":\"");
        self.families.extend_from_slice(meta.kind.as_str().as_bytes());
        self.families.extend_from_slice(b"\",\"help\":");
        push_string(&mut self.families, &meta.help);
        self.families.extend_from_slice(b",\"unit\":");
        push_string(&mut self.families, &meta.unit);
        self.families.push(b'}');
    }

    /// A series of a family. Series of one family must come in a row.
    pub(super) fn series(&mut self, meta: &'a FamilyMeta, series: &Series) {
        if self.families.len() + self.series.len() > FRAME {
            let families = std::mem::take(&mut self.families);
            self.done.push((families, std::mem::take(&mut self.series)));
            self.told = None;
        }
        self.family(meta);
        let out = &mut self.series;
        if !out.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"id\":");
        out.extend_from_slice(itoa::Buffer::new().format(series.number).as_bytes());
        out.extend_from_slice(b",\"name\":");
        let name = series.name();
        push_string(out, &name);
        out.extend_from_slice(b",\"labels\":");
        push_labels(out, series);
        if *name != *meta.name {
            out.extend_from_slice(b",\"family\":");
            push_string(out, &meta.name);
        }
        out.push(b'}');
    }

    /// Writes the frames; none if there was nothing to tell.
    pub(super) fn finish(mut self, frames: &mut FrameWriter) {
        if !self.families.is_empty() {
            self.done.push((self.families, self.series));
        }
        for (i, (families, series)) in self.done.iter().enumerate() {
            let part = part(i, self.done.len());
            let head = format!("{{\"type\":\"schema\",\"channel\":{}{part},\"families\":{{", self.channel);
            frames.text(&[head.as_bytes(), families, b"},\"series\":[", series, b"]}"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_cut_into_pieces_below_the_limit_and_none_is_lost() {
        let mut pieces = Pieces::new(10);
        for item in ["1", "22222222222222", "333", "444", "55", "6"] {
            pieces.item(|out| out.extend_from_slice(item.as_bytes()));
        }
        let got: Vec<String> =
            pieces.finish().into_iter().map(|piece| String::from_utf8(piece).unwrap()).collect();
        assert_eq!(got, ["1", "22222222222222", "333,444,55", "6"]);
        assert_eq!(Pieces::new(10).finish(), [Vec::<u8>::new()], "nothing is one empty piece");
    }
}
