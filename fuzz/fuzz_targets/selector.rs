//! Arbitrary text as a selector: no panic, the column of an error lies in the text, and the canonical text of what is
//! accepted parses to an equal selector.
#![no_main]

use gaugecast::series::Selector;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| match Selector::parse(text) {
    Ok(selector) => {
        let again = Selector::parse(selector.as_str()).expect("canonical text is a selector");
        assert_eq!(again, selector);
        assert_eq!(again.matches("up{a=\"x\"}"), selector.matches("up{a=\"x\"}"));
    }
    Err(error) => assert!((1..=text.chars().count() + 1).contains(&error.column)),
});
