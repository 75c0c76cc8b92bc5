//! Our reader against the verdicts of OpenMetrics' own test data: 211 pages, each with whether a strict parser
//! must take it. The data lies beside the project, in `../shared/openmetrics-testdata`.

use std::fs;
use std::path::PathBuf;

use gaugecast::exposition::parse::Format;
use gaugecast::exposition::read::Reader;

/// The bad pages that a lenient reader takes. They break rules that hold between lines or that concern values:
/// what they say is clear, so a scraper that refused them would lose figures for nothing.
const TAKEN_LENIENTLY: &[&str] = &[
    "bad_clashing_names_0",
    "bad_clashing_names_1",
    "bad_clashing_names_2",
    "bad_counter_values_0",
    "bad_counter_values_1",
    "bad_counter_values_10",
    "bad_counter_values_11",
    "bad_counter_values_12",
    "bad_counter_values_13",
    "bad_counter_values_14",
    "bad_counter_values_15",
    "bad_counter_values_16",
    "bad_counter_values_17",
    "bad_counter_values_18",
    "bad_counter_values_19",
    "bad_counter_values_2",
    "bad_counter_values_3",
    "bad_counter_values_4",
    "bad_counter_values_5",
    "bad_counter_values_6",
    "bad_counter_values_7",
    "bad_counter_values_8",
    "bad_counter_values_9",
    "bad_exemplar_complex_chars",
    "bad_exemplars_6",
    "bad_exemplars_on_unallowed_metric_types_0",
    "bad_exemplars_on_unallowed_metric_types_1",
    "bad_exemplars_on_unallowed_metric_types_2",
    "bad_exemplars_on_unallowed_samples_0",
    "bad_exemplars_on_unallowed_samples_1",
    "bad_exemplars_on_unallowed_samples_2",
    "bad_exemplars_on_unallowed_samples_3",
    "bad_grouping_or_ordering_0",
    "bad_grouping_or_ordering_10",
    "bad_grouping_or_ordering_2",
    "bad_grouping_or_ordering_3",
    "bad_grouping_or_ordering_4",
    "bad_grouping_or_ordering_5",
    "bad_grouping_or_ordering_6",
    "bad_grouping_or_ordering_7",
    "bad_grouping_or_ordering_8",
    "bad_grouping_or_ordering_9",
    "bad_histograms_0",
    "bad_histograms_1",
    "bad_histograms_10",
    "bad_histograms_11",
    "bad_histograms_12",
    "bad_histograms_13",
    "bad_histograms_14",
    "bad_histograms_2",
    "bad_histograms_3",
    "bad_histograms_6",
    "bad_histograms_7",
    "bad_histograms_8",
    "bad_histograms_9",
    "bad_info_and_stateset_values_0",
    "bad_info_and_stateset_values_1",
    "bad_metadata_in_wrong_place_0",
    "bad_metadata_in_wrong_place_1",
    "bad_metadata_in_wrong_place_2",
    "bad_missing_or_extra_commas_2",
    "bad_missing_or_invalid_labels_for_a_type_0",
    "bad_missing_or_invalid_labels_for_a_type_1",
    "bad_missing_or_invalid_labels_for_a_type_2",
    "bad_missing_or_invalid_labels_for_a_type_3",
    "bad_missing_or_invalid_labels_for_a_type_4",
    "bad_missing_or_invalid_labels_for_a_type_5",
    "bad_missing_or_invalid_labels_for_a_type_6",
    "bad_missing_or_invalid_labels_for_a_type_7",
    "bad_repeated_metadata_0",
    "bad_repeated_metadata_1",
    "bad_repeated_metadata_3",
    "bad_stateset_info_values_0",
    "bad_stateset_info_values_1",
    "bad_stateset_info_values_2",
    "bad_stateset_info_values_3",
    "bad_unit_6",
    "bad_unit_7",
];

/// Name, bytes and verdict of each page; nothing where the data is not there.
#[allow(clippy::print_stderr)]
fn cases() -> Option<Vec<(String, Vec<u8>, bool)>> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/openmetrics-testdata");
    let Ok(verdicts) = fs::read_to_string(dir.join("verdicts.tsv")) else {
        eprintln!("SKIPPED: {} is not there, the verdicts were not checked", dir.display());
        return None;
    };
    let case = |line: &str| {
        let (name, verdict) = line.split_once('\t').expect("two columns");
        let page = fs::read(dir.join("cases").join(format!("{name}.txt"))).expect("a page for each verdict");
        (name.to_owned(), page, verdict == "yes")
    };
    let cases: Vec<_> = verdicts.lines().skip(1).map(case).collect();
    assert_eq!(cases.len(), 211);
    Some(cases)
}

#[test]
fn the_strict_reader_agrees_with_every_verdict() {
    let disagrees = |(name, page, verdict): &(String, Vec<u8>, bool)| {
        let outcome = Reader::strict().read(page, Format::OpenMetrics).map(|_| ());
        (outcome.is_ok() != *verdict).then(|| format!("{name}: {outcome:?}"))
    };
    let disagreements: Vec<_> = cases().unwrap_or_default().iter().filter_map(disagrees).collect();
    assert!(disagreements.is_empty(), "{disagreements:#?}");
}

#[test]
fn the_lenient_reader_takes_all_good_pages_and_of_the_bad_ones_those_listed() {
    let Some(cases) = cases() else { return };
    let takes = |page: &[u8]| Reader::new().read(page, Format::OpenMetrics).is_ok();
    let refused: Vec<_> =
        cases.iter().filter(|(_, page, good)| *good && !takes(page)).map(|case| &case.0).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let taken: Vec<_> =
        cases.iter().filter(|(_, page, good)| !*good && takes(page)).map(|case| case.0.as_str()).collect();
    assert_eq!(taken, TAKEN_LENIENTLY);
}
