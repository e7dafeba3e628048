//! The list of scripts, and what is put into them. `tests/rt/events.rs` runs them.

use super::script::{PIECES, words};

#[test]
fn every_script_is_listed_and_says_what_it_needs() {
    let shared = ["common.nw", "dropped.nw", "reset.nw"];
    let mut texts: Vec<&str> = PIECES.iter().map(|piece| piece.text).collect();
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("probes");
    for file in std::fs::read_dir(here).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !shared.contains(&name.as_str()) {
            let text = std::fs::read_to_string(&path).unwrap();
            let at = texts.iter().position(|known| *known == text);
            texts.remove(at.unwrap_or_else(|| panic!("{name} is not in the list")));
        }
    }
    assert!(texts.is_empty(), "listed twice");
    for piece in PIECES {
        assert_eq!(piece.header("event"), Some(piece.event), "{}", piece.text);
        assert!(piece.needs().count() > 0, "{}", piece.text);
        for point in piece.text.lines().filter_map(|line| line.strip_prefix("rawtracepoint:")) {
            let event = point.split(' ').next().unwrap();
            assert!(piece.reads(event), "{}: `{event}` is not among its needs", piece.event);
        }
    }
}

#[test]
fn addresses_are_words_of_a_key_and_come_back() {
    assert_eq!(words("0.0.0.1".parse().unwrap()).0, 0);
    let six = words("2001:db8::1".parse().unwrap());
    assert_eq!(six.0.to_ne_bytes()[..4], [0x20, 1, 0xd, 0xb8]);
    assert_eq!(six.1.to_ne_bytes()[7], 1);
}

/// Every script this kernel has the tracepoints for is taken by its verifier, the poorer ones for older kernels too.
#[test]
fn every_script_loads_where_its_tracepoints_are() {
    use netwhy_bpf::background::Background;
    use netwhy_bpf::kernel::Kernel;
    use netwhy_lang::types::Types;
    let held = netwhy_sys::caps::effective().unwrap();
    if !held.has(netwhy_sys::caps::Capability::SysAdmin) {
        println!("skipped: needs CAP_SYS_ADMIN");
        return;
    }
    let kernel = match Kernel::open() {
        Ok(kernel) => kernel,
        Err(error) => {
            println!("skipped: {error}");
            return;
        }
    };
    let told = |(event, argument): (&str, &str)| {
        kernel.raw_tracepoint(event).is_some_and(|s| s.params.iter().any(|p| p.name == argument))
    };
    let mut loaded = 0;
    for piece in PIECES {
        if !piece.needs().all(told) {
            println!("skipped: {} needs {}", piece.event, piece.header("needs").unwrap());
            continue;
        }
        let (mut pieces, mut missing) = (vec![piece], Vec::new());
        let spec = super::compile(&kernel, 1, &mut pieces, &mut missing).unwrap();
        assert_eq!(missing, Vec::<String>::new());
        let run = Background::begin(spec, &kernel).unwrap_or_else(|e| panic!("{}: {e}", piece.text));
        assert!(run.places() > 0);
        loaded += 1;
    }
    assert!(loaded > 0);
}
