//! Answers to a DNS question: with the right identifier and question, or with whatever comes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netwhy_ask::names::{Kind, query, read};

fuzz_target!(|bytes: &[u8]| {
    let Some(ours) = query("www.example.com", Kind::A, true) else { return };
    let _ = read(&ours, bytes);
    // The same bytes behind a header and question that fit, so that the sections are reached.
    let mut fitting = ours.clone();
    let (counts, rest) = bytes.split_at_checked(8).unwrap_or((bytes, &[]));
    for (to, from) in fitting.iter_mut().skip(2).zip(counts) {
        *to = *from;
    }
    fitting[2] |= 0x80;
    fitting[4..6].copy_from_slice(&[0, 1]);
    fitting.truncate(12 + 17 + 4);
    fitting.extend_from_slice(rest);
    let _ = read(&ours, &fitting);
});
