//! Any text as a probe script.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netwhy_lang::features::Features;
use netwhy_lang::types::NoTypes;

fuzz_target!(|bytes: &[u8]| {
    let Ok(script) = std::str::from_utf8(bytes) else { return };
    if let Err(e) = netwhy_lang::compile(script, &Default::default(), &NoTypes, &NoTypes, &Features::modern()) {
        let _ = e.render("script", script);
    }
});
