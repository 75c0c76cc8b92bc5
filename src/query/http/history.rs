//! `/api/v1/history`: the samples of series for a chart, as they are or one for each step.
//!
//! | parameter | |
//! | --- | --- |
//! | `match[]` | which series; at least one |
//! | `start`, `end`, `last` | the range, see [`Past`] |
//! | `step` | seconds, or with a unit; without it the samples themselves |
//! | `agg` | what a step tells of its samples: `avg` (the default), `min`, `max`, `sum`, `count`, `first`, `last`, `stddev`, `p50`, `p99.9` …, and for counters `rate` and `increase` |
//!
//! A step tells of the samples behind the step before it and up to its own time, as PromQL's functions over `x[step]` do when
//! they are evaluated at each step from `start` on; it is those functions that compute it. A step without samples has no
//! point.
//!
//! The answer is `{"start","end","step","agg","oldest","series":[{"labels","points":[[time,value],…]}]}`, all times in
//! milliseconds, values as numbers or `"NaN"`, `"+Inf"`, `"-Inf"`; among samples a stale marker is `null`.

use super::json::Writer;
use super::{Fault, MAX_POINTS, Params, Past, Reply, Request, params, respond, success};
use crate::exposition::number;
use crate::query::eval::{Error, RangeFn, Window};
use crate::query::number::quoted;
use crate::query::promql::functions::Function;
use crate::query::source::{Sample, is_stale};

/// Most series of one answer. With as many points as a chart may have they make some 100 MB of JSON.
pub const MAX_SERIES: usize = 500;

/// What a step tells of its samples.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Aggregation {
    function: Function,
    /// Share of a quantile.
    share: f64,
}

impl Aggregation {
    fn named(name: &str) -> Option<Self> {
        let function = match name {
            "avg" => Function::AvgOverTime,
            "min" => Function::MinOverTime,
            "max" => Function::MaxOverTime,
            "sum" => Function::SumOverTime,
            "count" => Function::CountOverTime,
            "first" => Function::FirstOverTime,
            "last" => Function::LastOverTime,
            "stddev" => Function::StddevOverTime,
            "rate" => Function::Rate,
            "increase" => Function::Increase,
            other => {
                let digits = other.strip_prefix('p')?;
                if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
                    return None;
                }
                // Not divided by 100, so that p99.9 is the number that 0.999 is.
                let share =
                    format!("{digits}e-2").parse().ok().filter(|share| (0.0..=1.0).contains(share))?;
                return Some(Aggregation { function: Function::QuantileOverTime, share });
            }
        };
        Some(Aggregation { function, share: f64::NAN })
    }
}

/// The steps of an answer.
#[derive(Clone, Copy)]
struct Steps<'a> {
    step: i64,
    name: &'a str,
    aggregation: Aggregation,
}

impl<'a> Steps<'a> {
    fn read(params: &'a Params, past: &Past) -> Result<Option<Self>, Fault> {
        let Some(text) = params.get("step") else {
            return match params.get("agg") {
                Some(_) => Err(Fault::parameter("agg", "it needs a step")),
                None => Ok(None),
            };
        };
        let step = params::duration(text).map_err(|reason| Fault::parameter("step", reason))?;
        if step <= 0 {
            return Err(Fault::parameter("step", "it must be at least a millisecond"));
        }
        let points = past.end.saturating_sub(past.start) / step + 1;
        if points > MAX_POINTS {
            return Err(too_many(&format!("{points} points")));
        }
        let name = params.get("agg").unwrap_or("avg");
        let aggregation = Aggregation::named(name).ok_or_else(|| {
            let known =
                "avg, min, max, sum, count, first, last, stddev, rate, increase, or a percentile such as p99";
            Fault::parameter("agg", format!("{} is none of {known}", quoted(name)))
        })?;
        Ok(Some(Steps { step, name, aggregation }))
    }

    /// Replaces samples from behind `start - step` on by a point for each step that has some.
    fn aggregate(&self, start: i64, samples: &[Sample], out: &mut Vec<Sample>) -> Result<(), Error> {
        let Some(function) = RangeFn::of(self.aggregation.function) else { return Ok(()) };
        let (mut scratch, mut rest) = (Vec::new(), samples);
        out.clear();
        while let Some(first) = rest.first() {
            let number = first.t.saturating_sub(start).max(0);
            let number = number / self.step + i64::from(number % self.step > 0);
            let end = start.saturating_add(number.saturating_mul(self.step));
            let (of_step, behind) = rest.split_at(rest.partition_point(|sample| sample.t <= end));
            rest = behind;
            let window = Window {
                samples: of_step,
                start: end.saturating_sub(self.step),
                end,
                range: self.step,
                time: end,
                no_resets: false,
            };
            let value = function.value(&window, |_| self.aggregation.share, &mut scratch)?;
            out.extend(value.map(|v| Sample { t: end, v }));
        }
        Ok(())
    }
}

fn too_many(what: &str) -> Fault {
    Fault::execution(format!(
        "the answer would have {what}; at most {MAX_POINTS} points a series and {MAX_SERIES} series are answered: make \
         the range shorter or the step longer"
    ))
}

/// `/api/v1/history`.
#[must_use]
pub fn history(request: &Request<'_>) -> Reply {
    respond(answer(request))
}

fn answer(request: &Request<'_>) -> Result<Reply, Fault> {
    let past = Past::read(request.params, request.now)?;
    let steps = Steps::read(request.params, &past)?;
    // The first step tells of what is behind the one before the range.
    let from = steps.map_or(past.start, |steps| past.start.saturating_sub(steps.step).saturating_add(1));
    let to = steps.map_or(past.end, |steps| {
        past.start.saturating_add(past.end.saturating_sub(past.start) / steps.step * steps.step)
    });
    let series = past.select(request, from, MAX_SERIES)?;
    let oldest = request.source.oldest();

    let mut out = Writer::default();
    let (mut samples, mut points, mut first) = (Vec::new(), Vec::new(), true);
    for one in series {
        request.interrupt.check()?;
        samples.clear();
        one.samples.read(from, to, &mut samples).map_err(Error::from)?;
        if samples.len() > request.options.max_samples {
            let most = request.options.max_samples;
            return Err(Fault::execution(format!(
                "one series has more than {most} samples (--query.max-samples)"
            )));
        }
        if let Some(steps) = &steps {
            samples.retain(|sample| !is_stale(sample.v));
            steps.aggregate(past.start, &samples, &mut points)?;
            std::mem::swap(&mut samples, &mut points);
        } else if samples.len() as u64 > MAX_POINTS.unsigned_abs() {
            return Err(too_many(&format!("{} points of {}", samples.len(), one.labels)));
        }
        if samples.is_empty() {
            continue;
        }
        out.raw(if first { "" } else { "," });
        first = false;
        out.raw("{\"labels\":");
        out.labels(one.labels.iter());
        out.raw(",\"points\":");
        out.array(samples.iter(), |out, sample| point(out, *sample));
        out.raw("}");
    }
    let series = out;
    let write = |out: &mut Writer| {
        let number = |out: &mut Writer, name: &str, value: i64| {
            out.raw(name);
            out.0.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        };
        number(out, "{\"start\":", past.start);
        number(out, ",\"end\":", past.end);
        if let Some(steps) = &steps {
            number(out, ",\"step\":", steps.step);
            out.raw(",\"agg\":");
            out.text(steps.name);
        }
        if let Some(oldest) = oldest {
            number(out, ",\"oldest\":", oldest);
        }
        out.raw(",\"series\":[");
        out.0.extend_from_slice(&series.0);
        out.raw("]}");
    };
    Ok(success(write, &past.warnings(oldest), &[]))
}

/// `[time,value]`.
fn point(out: &mut Writer, sample: Sample) {
    out.raw("[");
    out.0.extend_from_slice(itoa::Buffer::new().format(sample.t).as_bytes());
    out.raw(",");
    if is_stale(sample.v) {
        out.raw("null");
    } else {
        number::push_json(&mut out.0, sample.v);
    }
    out.raw("]");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::eval::{Interrupt, Options, Output, Query, Times};
    use crate::query::labels::Labels;
    use crate::query::promql;
    use crate::query::source::{MemorySource, stale};
    use proptest::prelude::*;

    const NOW: i64 = 1_700_000_600_000;

    fn ask(source: &MemorySource, text: &str) -> (u16, serde_json::Value) {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        let params = Params(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
        let (options, interrupt) = (Options::default(), Interrupt::default());
        let request = Request { params: &params, source, options: &options, interrupt: &interrupt, now: NOW };
        let reply = history(&request);
        (reply.status, serde_json::from_slice(&reply.body).expect("JSON"))
    }

    fn source(samples: &[(i64, f64)]) -> MemorySource {
        let mut source = MemorySource::default();
        for &(t, v) in samples {
            source.add(&Labels::from_key("a{x=\"1\"}"), Sample { t, v });
        }
        source
    }

    #[test]
    fn without_a_step_the_samples_are_answered_as_they_are() {
        let second = |n: i64| NOW - 10_000 + n * 1000;
        let odd = [(second(0), 1.5), (second(1), f64::INFINITY), (second(2), stale()), (second(3), f64::NAN)];
        let (status, answer) = ask(&source(&odd), "match[]=a&last=10s");
        assert_eq!(status, 200, "{answer}");
        let want = serde_json::json!({"start": NOW - 10_000, "end": NOW, "series": [{
            "labels": {"__name__": "a", "x": "1"},
            "points": [[second(0), 1.5], [second(1), "+Inf"], [second(2), null], [second(3), "NaN"]],
        }]});
        assert_eq!(answer["data"], want);
        let (_, answer) = ask(&source(&odd), "match[]=a&last=10s&step=2s&agg=count");
        let want = serde_json::json!([[second(0), 1], [second(2), 1], [second(4), 1]]);
        assert_eq!((&answer["data"]["series"][0]["points"], &answer["data"]["step"]), (&want, &2000.into()));
    }

    #[test]
    fn what_is_wrong_is_told_with_the_parameter_and_what_is_too_much_with_the_limits() {
        let second: Vec<_> = (0..12_000).map(|n| (NOW - n * 100, 1.0)).collect();
        let source = source(&second.into_iter().rev().collect::<Vec<_>>());
        for (text, status, says) in [
            ("", 400, "no match[]"),
            ("match[]={x=~\".*\"}", 400, "match[]"),
            ("match[]=a{", 400, "\"match[]\""),
            ("match[]=a&start=2&end=1", 400, "\"end\""),
            ("match[]=a&start=x", 400, "\"start\""),
            ("match[]=a&end=2020-13-01T00:00:00Z", 400, "\"end\""),
            ("match[]=a&last=x", 400, "\"last\""),
            ("match[]=a&last=0", 400, "\"last\""),
            ("match[]=a&last=1m&start=1", 400, "\"last\""),
            ("match[]=a&step=0", 400, "\"step\""),
            ("match[]=a&step=-1", 400, "\"step\""),
            ("match[]=a&step=0.0001", 400, "\"step\""),
            ("match[]=a&step=x", 400, "\"step\""),
            ("match[]=a&step=1s&agg=median", 400, "\"agg\""),
            ("match[]=a&step=1s&agg=p101", 400, "\"agg\""),
            ("match[]=a&step=1s&agg=p-1", 400, "\"agg\""),
            ("match[]=a&agg=avg", 400, "\"agg\""),
            ("match[]=a&start=0&end=1000000&step=0.001", 422, "at most 11000 points a series and 500 series"),
            ("match[]=a&start=-9e15&end=9e15&step=0.001", 422, "11000"),
            ("match[]=a&last=1h", 422, "12000 points of {__name__=\"a\", x=\"1\"}; at most 11000"),
        ] {
            let (got, answer) = ask(&source, text);
            let told = answer["error"].as_str().expect(text);
            assert_eq!(got, status, "{text}: {answer}");
            assert!(told.contains(says), "{text}: {told}");
        }
        let (status, answer) = ask(&source, "match[]=a&start=1800000000&end=1800000010");
        assert_eq!((status, &answer["data"]["series"]), (200, &serde_json::json!([])), "the future is empty");
    }

    #[test]
    fn more_than_500_series_are_refused() {
        let mut source = MemorySource::default();
        let add = |source: &mut MemorySource, n: usize| {
            source.add(&Labels::from_key(&format!("a{{n=\"{n}\"}}")), Sample { t: NOW, v: 1.0 });
        };
        (0..MAX_SERIES).for_each(|n| add(&mut source, n));
        let (status, answer) = ask(&source, "match[]=a&match[]={n=\"7\"}");
        let series = answer["data"]["series"].as_array().expect("series").len();
        assert_eq!((status, series), (200, MAX_SERIES), "each counts once");
        add(&mut source, MAX_SERIES);
        let (status, answer) = ask(&source, "match[]=a");
        assert_eq!(status, 422, "{answer}");
        assert!(answer["error"].as_str().expect("text").contains("more than 500 series"), "{answer}");
    }

    proptest! {
        #[test]
        fn a_step_tells_what_promql_tells_of_it(
            gaps in prop::collection::vec((1i64..4000, -5i32..50), 1..200),
            step in 1i64..20_000, start in 0i64..60_000, length in 0i64..200_000,
            agg in prop::sample::select(vec![
                ("avg", "avg_over_time("), ("min", "min_over_time("), ("max", "max_over_time("),
                ("sum", "sum_over_time("), ("count", "count_over_time("), ("first", "first_over_time("),
                ("last", "last_over_time("), ("stddev", "stddev_over_time("), ("rate", "rate("),
                ("increase", "increase("), ("p50", "quantile_over_time(0.5,"),
                ("p99.9", "quantile_over_time(0.999,"),
            ]),
        ) {
            let mut time = 0;
            let samples: Vec<_> = gaps.iter().map(|&(gap, value)| {
                time += gap;
                (time, if value == -5 { stale() } else { f64::from(value) })
            }).collect();
            let source = source(&samples);
            let step = step.max(length / 10_000 + 1);
            let (from, to) = (start as f64 / 1000.0, (start + length) as f64 / 1000.0);
            let (status, answer) =
                ask(&source, &format!("match[]=a&start={from}&end={to}&step={step}ms&agg={}", agg.0));
            prop_assert_eq!(status, 200, "{}", answer);
            let text = format!("{}a[{step}ms])", agg.1);
            let expr = promql::parse(&text).expect("it is right");
            let times = Times::Range { start, end: start + length, step };
            let query = Query { text: &text, expr: &expr, times };
            let wanted = query.evaluate(&source, &Options::default(), &Interrupt::default()).expect("an answer");
            let Output::Matrix(wanted) = wanted.output else { panic!("a matrix") };
            let wanted: Vec<(i64, f64)> =
                wanted.iter().flat_map(|(_, points)| points.iter().map(|point| (point.t, point.v))).collect();
            let none = Vec::new();
            let got = answer["data"]["series"][0]["points"].as_array().unwrap_or(&none);
            let got: Vec<(i64, f64)> = got.iter()
                .map(|point| (point[0].as_i64().expect("time"), point[1].as_f64().expect("value"))).collect();
            prop_assert_eq!(got, wanted);
        }
    }
}
