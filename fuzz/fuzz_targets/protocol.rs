//! Whatever a client says is read or refused, and what is refused has a message.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match gaugecast::stream::protocol::decode(text) {
        Ok(request) => assert_ne!(request.command.kind().as_str(), "other"),
        Err((_, fault)) => assert!(!fault.message.is_empty() && fault.message.len() < 1024),
    }
});
