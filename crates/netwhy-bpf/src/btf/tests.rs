//! On the running kernel's description, and on damaged ones.

use std::time::Instant;

use netwhy_lang::types::TypeDesc;
use proptest::prelude::*;

use super::*;

fn vmlinux() -> Option<Vec<u8>> {
    let bytes = std::fs::read("/sys/kernel/btf/vmlinux").ok();
    if bytes.is_none() {
        println!("skipped: this kernel has no /sys/kernel/btf/vmlinux");
    }
    bytes
}

/// int (1), struct pair { int a; int b:3; } (2), enum { RED = -1 } (3), const -> itself (4), typedef x -> 2 (5).
fn small() -> Vec<u8> {
    let strings = b"\0int\0pair\0a\0b\0RED\0x\0";
    let mut types: Vec<u32> = vec![1, 1 << 24, 4, 1 << 24 | 32];
    types.extend([5, 1 << 31 | 4 << 24 | 2, 8, 10, 1, 0, 12, 1, 3 << 24 | 32]);
    types.extend([0, 1 << 31 | 6 << 24 | 1, 4, 14, u32::MAX]);
    types.extend([0, 10 << 24, 4]);
    types.extend([18, 8 << 24, 2]);
    let length = types.len() as u32 * 4;
    let mut out = Vec::new();
    out.extend(MAGIC.to_ne_bytes());
    out.extend([1, 0]);
    for word in [24, 0, length, length, strings.len() as u32] {
        out.extend(word.to_ne_bytes());
    }
    out.extend(types.iter().flat_map(|word| word.to_ne_bytes()));
    out.extend(strings);
    out
}

fn ask_everything(btf: &Btf) {
    for id in 0..btf.len() + 2 {
        let _ = (btf.resolve(id), btf.describe(id));
    }
    let _ = btf.enumerator("RED");
    let _ = (btf.function("x"), btf.raw_tracepoint("x"), btf.tracepoints().len());
}

#[test]
fn types_are_told_apart() {
    let btf = Btf::new(small()).unwrap();
    assert_eq!(btf.len(), 6);
    assert_eq!(btf.describe(1), Some(TypeDesc::Int { size: 4, signed: true, char_like: false }));
    let Some(TypeDesc::Struct { name, size, union, members }) = btf.describe(5) else { panic!("a struct") };
    assert_eq!((name.as_str(), size, union), ("pair", 8, false));
    assert_eq!((members[1].name.as_str(), members[1].bit_offset, members[1].bit_size), ("b", 32, 3));
    assert_eq!(btf.enumerator("RED"), Some((-1, 3)));
    assert_eq!(btf.find(&[Kind::Struct], "pai"), None);
    // A qualifier of itself ends.
    assert_eq!(btf.resolve(4), None);
}

#[test]
fn the_running_kernel_is_read() {
    let Some(bytes) = vmlinux() else { return };
    let start = Instant::now();
    let btf = Btf::new(bytes).unwrap();
    let opened = start.elapsed();
    let (signature, _) = btf.raw_tracepoint("inet_sock_set_state").unwrap();
    let names: Vec<&str> = signature.params.iter().map(|p| p.name.as_str()).collect();
    println!("{} types, opened in {opened:?}, first name after {:?}", btf.len(), start.elapsed());
    assert_eq!(names, ["sk", "oldstate", "newstate"]);
    let sock = btf.find(&[Kind::Struct], "sock_common").unwrap();
    let Some(TypeDesc::Struct { members, .. }) = btf.describe(sock) else { panic!("a struct") };
    assert!(members.iter().any(|member| member.name == "skc_state"));
    assert_eq!(btf.enumerator("TCP_ESTABLISHED").map(|(value, _)| value), Some(1));
    assert!(btf.function("tcp_v4_connect").is_some_and(|s| s.params.first().is_some_and(|p| p.name == "sk")));
    assert!(btf.tracepoints().len() > 100);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_does_no_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = small();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(btf) = Btf::new(bytes) {
            ask_everything(&btf);
        }
    }

    #[test]
    fn a_cut_does_no_harm(length in 0..200_usize) {
        let mut bytes = small();
        bytes.truncate(length);
        if let Ok(btf) = Btf::new(bytes) {
            ask_everything(&btf);
        }
    }
}
