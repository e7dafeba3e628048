//! Properties that hold for any bytes.

use proptest::prelude::*;

use super::{Attributes, Builder, Fixed, Messages, align};

/// Walks every attribute through every getter, following nested ones. Returns the bytes consumed.
fn exercise(bytes: &[u8], depth: u8) -> usize {
    let mut attributes = Attributes::new(bytes);
    let mut consumed = 0;
    for item in attributes.by_ref() {
        let Ok(attribute) = item else { break };
        assert_eq!(attribute.offset, consumed, "offsets follow one another");
        assert!(attribute.offset + 4 + attribute.payload.len() <= bytes.len());
        consumed += align(4 + attribute.payload.len());
        let _ = (attribute.u8(), attribute.u16(), attribute.u32(), attribute.u64(), attribute.uint());
        let _ = (attribute.be16(), attribute.be32(), attribute.be64(), attribute.str(), attribute.text());
        let _ = (attribute.ip(), attribute.ipv4(), attribute.ipv6(), attribute.fixed().u64(3));
        if depth > 0 {
            exercise(attribute.payload, depth - 1);
        }
    }
    assert!(attributes.next().is_none(), "an ended run stays ended");
    consumed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        exercise(&bytes, 4);
        for message in Messages::new(&bytes).flatten() {
            prop_assert!(message.payload.len() + 16 <= bytes.len());
        }
    }

    #[test]
    fn small_lengths_reach_deep_and_never_panic(words in prop::collection::vec(0u16..40, 0..200)) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        exercise(&bytes, 6);
    }

    #[test]
    fn a_built_run_is_read_back_whole(parts in prop::collection::vec((0u16..0x3fff, prop::collection::vec(any::<u8>(), 0..70)), 0..40)) {
        let mut builder = Builder::new();
        for (kind, payload) in &parts {
            builder.bytes(*kind, payload);
        }
        let bytes = builder.finish().unwrap();
        prop_assert_eq!(exercise(&bytes, 0), bytes.len());
        let back: Vec<_> = Attributes::new(&bytes)
            .map(|item| item.map(|attribute| (attribute.kind, attribute.payload.to_vec())))
            .collect::<Result<_, _>>()
            .unwrap();
        prop_assert_eq!(back, parts);
    }

    #[test]
    fn a_cut_run_ends_in_one_error_or_cleanly(cut in 0usize..64) {
        let mut builder = Builder::new();
        builder.u32(1, 5).str(2, "eth0").nest(3, |inner| { inner.u64(4, 6); }).u8(5, 1);
        let bytes = builder.finish().unwrap();
        let cut = cut.min(bytes.len());
        let items: Vec<_> = Attributes::new(&bytes[..cut]).collect();
        let errors = items.iter().filter(|item| item.is_err()).count();
        prop_assert!(errors <= 1);
        prop_assert!(errors == 0 || items.last().unwrap().is_err());
    }

    #[test]
    fn a_field_is_there_exactly_if_it_fits(bytes in prop::collection::vec(any::<u8>(), 0..20), offset in 0usize..30) {
        prop_assert_eq!(Fixed(&bytes).u32(offset).is_some(), offset + 4 <= bytes.len());
    }
}
