use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::remote::pack;

/// The messages as Prometheus' `.proto` files have them, read and written by somebody else's code.
mod v1 {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Request {
        #[prost(message, repeated, tag = "1")]
        pub(super) timeseries: Vec<Series>,
        #[prost(message, repeated, tag = "3")]
        pub(super) metadata: Vec<Metadata>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Series {
        #[prost(message, repeated, tag = "1")]
        pub(super) labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        pub(super) samples: Vec<Sample>,
        #[prost(message, repeated, tag = "3")]
        pub(super) exemplars: Vec<Sample>,
        #[prost(message, repeated, tag = "4")]
        pub(super) histograms: Vec<Sample>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Label {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(string, tag = "2")]
        pub(super) value: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Sample {
        #[prost(double, tag = "1")]
        pub(super) value: f64,
        #[prost(int64, tag = "2")]
        pub(super) timestamp: i64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Metadata {
        #[prost(int32, tag = "1")]
        pub(super) kind: i32,
        #[prost(string, tag = "2")]
        pub(super) family: String,
        #[prost(string, tag = "4")]
        pub(super) help: String,
        #[prost(string, tag = "5")]
        pub(super) unit: String,
    }
}

mod v2 {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Request {
        #[prost(string, repeated, tag = "4")]
        pub(super) symbols: Vec<String>,
        #[prost(message, repeated, tag = "5")]
        pub(super) timeseries: Vec<Series>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Series {
        #[prost(uint32, repeated, tag = "1")]
        pub(super) labels: Vec<u32>,
        #[prost(message, repeated, tag = "2")]
        pub(super) samples: Vec<super::v1::Sample>,
        #[prost(message, repeated, tag = "3")]
        pub(super) histograms: Vec<super::v1::Sample>,
        #[prost(message, optional, tag = "5")]
        pub(super) metadata: Option<Metadata>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Metadata {
        #[prost(int32, tag = "1")]
        pub(super) kind: i32,
        #[prost(uint32, tag = "3")]
        pub(super) help: u32,
        #[prost(uint32, tag = "4")]
        pub(super) unit: u32,
    }
}

fn label(name: &str, value: &str) -> v1::Label {
    v1::Label { name: name.into(), value: value.into() }
}

fn sample(timestamp: i64, value: f64) -> v1::Sample {
    v1::Sample { value, timestamp }
}

fn series(labels: &[(&str, &str)], samples: Vec<v1::Sample>) -> v1::Series {
    let labels = labels.iter().map(|(name, value)| label(name, value)).collect();
    v1::Series { labels, samples, ..v1::Series::default() }
}

fn read_v1(request: &v1::Request) -> Result<Received, ReceiveError> {
    receive(Version::V1, &pack(&request.encode_to_vec()))
}

#[test]
fn a_request_of_1_0_is_read_as_it_was_written() {
    let mut one = series(
        &[("__name__", "up"), ("job", "a\"ä")],
        vec![sample(0, 1.5), sample(-5, f64::NEG_INFINITY), sample(i64::MAX, 0.0)],
    );
    one.exemplars = vec![sample(1, 1.0)];
    one.histograms = vec![sample(1, 1.0), sample(2, 1.0)];
    let metadata = v1::Metadata { kind: 1, family: "a_total".into(), help: "Of a.".into(), unit: "s".into() };
    let request = v1::Request { timeseries: vec![one], metadata: vec![metadata] };
    let got = read_v1(&request).expect("whole");
    let pairs = [("__name__", "up"), ("job", "a\"ä")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    assert_eq!(got.writes.len(), 1);
    assert_eq!(got.writes[0].labels, pairs);
    assert_eq!(got.writes[0].samples, [(0, 1.5), (-5, f64::NEG_INFINITY), (i64::MAX, 0.0)]);
    assert_eq!((got.exemplars, got.histograms, got.invalid), (1, 2, 0));
    let told = &got.metadata[0];
    assert_eq!(
        (told.family.as_str(), told.kind, told.help.as_str(), told.unit.as_str()),
        ("a_total", Kind::Counter, "Of a.", "s")
    );
}

#[test]
fn a_stale_marker_keeps_its_bits() {
    let stale = f64::from_bits(crate::history::STALE);
    let request = v1::Request {
        timeseries: vec![series(&[("__name__", "a")], vec![sample(7, stale)])],
        ..v1::Request::default()
    };
    let got = read_v1(&request).expect("whole");
    assert_eq!(got.writes[0].samples[0].1.to_bits(), crate::history::STALE);
}

#[test]
fn a_request_of_2_0_is_read_as_it_was_written() {
    let symbols = ["", "__name__", "d_seconds_bucket", "le", "1", "Time.", "seconds"];
    let one = v2::Series {
        labels: vec![1, 2, 3, 4],
        samples: vec![sample(5, 3.0)],
        histograms: vec![sample(1, 1.0)],
        metadata: Some(v2::Metadata { kind: 3, help: 5, unit: 6 }),
    };
    let request =
        v2::Request { symbols: symbols.map(str::to_owned).to_vec(), timeseries: vec![one.clone(), one] };
    let got = receive(Version::V2, &pack(&request.encode_to_vec())).expect("whole");
    assert_eq!(got.writes.len(), 2);
    assert_eq!(got.writes[0].labels[1], ("le".to_owned(), "1".to_owned()));
    assert_eq!(got.writes[0].samples, [(5, 3.0)]);
    assert_eq!(got.histograms, 2);
    // Told with both series, taken once.
    let want = Metadata {
        family: "d_seconds".into(),
        kind: Kind::Histogram,
        help: "Time.".into(),
        unit: "seconds".into(),
    };
    assert_eq!(got.metadata, [want]);
}

#[test]
fn a_symbol_that_is_not_there_or_a_name_without_value_is_refused() {
    for labels in [vec![0, 9], vec![0]] {
        let request = v2::Request {
            symbols: vec![String::new()],
            timeseries: vec![v2::Series { labels, ..v2::Series::default() }],
        };
        let got = receive(Version::V2, &pack(&request.encode_to_vec()));
        assert!(matches!(got, Err(ReceiveError::Damaged(_))), "{got:?}");
    }
}

#[test]
fn a_series_with_wrong_labels_is_left_out_and_the_others_are_taken() {
    for (labels, why) in [
        (vec![("job", "a")], "no metric name: {job=\"a\"}"),
        (vec![("__name__", "")], "no metric name"),
        (vec![("__name__", "a"), ("", "b")], "a label without a name"),
        (vec![("__name__", "a"), ("b", "1"), ("b", "2")], "the label \"b\" twice"),
    ] {
        let bad = series(&labels, vec![sample(1, 1.0), sample(2, 1.0)]);
        let good = series(&[("__name__", "good")], vec![sample(1, 1.0)]);
        let request = v1::Request { timeseries: vec![bad, good], ..v1::Request::default() };
        let got = read_v1(&request).expect("whole");
        assert_eq!((got.writes.len(), got.invalid), (1, 2), "{labels:?}");
        let told = got.first_invalid.expect("a reason");
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn what_would_grow_beyond_bounds_is_refused_before_it_does() {
    // A block that says it is 4 GiB long, and one that promises more than its bytes can hold.
    let huge = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0];
    assert!(matches!(receive(Version::V1, &huge), Err(ReceiveError::TooLarge(_))));
    let liar = [0x80, 0x80, 0x80, 0x08, 0, 0];
    assert!(matches!(receive(Version::V1, &liar), Err(ReceiveError::Damaged(_))));
    // A million and more empty samples of two bytes each.
    let mut inner = [0x12, 0].repeat(MOST_PARTS + 1);
    let mut message = vec![0x0a];
    prost::encoding::encode_varint(inner.len() as u64, &mut message);
    message.append(&mut inner);
    assert!(matches!(receive(Version::V1, &pack(&message)), Err(ReceiveError::TooLarge(_))));
    // And as many series without anything.
    let none = [0x0a, 0].repeat(MOST_PARTS + 1);
    assert!(matches!(receive(Version::V1, &pack(&none)), Err(ReceiveError::TooLarge(_))));
    let none = [0x2a, 0].repeat(MOST_PARTS + 1);
    assert!(matches!(receive(Version::V2, &pack(&none)), Err(ReceiveError::TooLarge(_))));
    // One long text named very often.
    let one = v2::Series { labels: vec![0, 1], samples: vec![sample(1, 1.0)], ..v2::Series::default() };
    let request =
        v2::Request { symbols: vec!["__name__".into(), "a".repeat(1 << 20)], timeseries: vec![one; 100] };
    let got = receive(Version::V2, &pack(&request.encode_to_vec()));
    assert!(matches!(got, Err(ReceiveError::TooLarge(_))));
}

#[test]
fn a_content_type_names_the_message() {
    let of = Version::of_content_type;
    assert_eq!(of("application/x-protobuf"), Some(Version::V1));
    assert_eq!(of("application/x-protobuf; proto=prometheus.WriteRequest"), Some(Version::V1));
    assert_eq!(of("Application/X-Protobuf;proto=io.prometheus.write.v2.Request"), Some(Version::V2));
    assert_eq!(of(Version::V2.content_type()), Some(Version::V2));
    assert_eq!(of("application/x-protobuf;proto=other"), None);
    assert_eq!(of("text/plain"), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for version in [Version::V1, Version::V2] {
            let _ = receive(version, &bytes);
            let _ = receive(version, &pack(&bytes));
        }
    }

    #[test]
    fn a_request_cut_anywhere_is_read_or_refused(cut in 0usize..60, value in any::<f64>(), time in any::<i64>()) {
        let one = series(&[("__name__", "up"), ("job", "x")], vec![sample(time, value)]);
        let whole = v1::Request { timeseries: vec![one], ..v1::Request::default() }.encode_to_vec();
        let _ = receive(Version::V1, &pack(&whole[..cut.min(whole.len())]));
    }
}
