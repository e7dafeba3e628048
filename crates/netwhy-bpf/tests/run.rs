//! Programs put together by hand, loaded, attached, fired and printed on the running kernel.

use std::net::{TcpListener, TcpStream};

use netwhy_bpf::kernel::Kernel;
use netwhy_bpf::load::{LoadError, Objects};
use netwhy_bpf::session::{Format, Options, Outcome, RunError, run};
use netwhy_lang::insn::Insn;
use netwhy_lang::program::*;
use netwhy_sys::caps::{self, Capability};

fn kernel() -> Option<Kernel> {
    if !caps::effective().unwrap().has(Capability::SysAdmin) {
        println!("skipped: needs CAP_SYS_ADMIN");
        return None;
    }
    match Kernel::open() {
        Ok(kernel) => Some(kernel),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

fn i(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst, src, off, imm }
}

fn map(name: &str, kind: MapKind, key_size: u32, value_size: u32, max_entries: u32, role: Role) -> MapSpec {
    MapSpec {
        name: name.into(),
        kind,
        key_size,
        value_size,
        max_entries,
        role,
        key: None,
        value: None,
        present: None,
    }
}

fn program(name: &str, kind: Kind, attach: Attach, insns: Vec<Insn>, relocs: Vec<Reloc>) -> Program {
    Program {
        index: 0,
        name: name.into(),
        kind,
        attach: vec![attach],
        reads_context: true,
        wants_cookie: false,
        insns,
        relocs,
        subprograms: Vec::new(),
        lines: vec![LineMark { insn: 0, start: 0, end: 5 }, LineMark { insn: 1, start: 6, end: 9 }],
    }
}

/// Sends a record of an action and two words on the stack: the header, then `r6`.
fn send(action: i32, ring: u32, before: &[Insn]) -> (Vec<Insn>, Vec<Reloc>) {
    let mut insns = before.to_vec();
    insns.extend([i(0x7b, 10, 6, -8, 0), i(0x7a, 10, 0, -16, action)]);
    let at = insns.len() as u32;
    insns.extend([
        i(0x18, 1, 0, 0, 0),
        i(0, 0, 0, 0, 0),
        i(0xbf, 2, 10, 0, 0),
        i(0x07, 2, 0, 0, -16),
        i(0xb7, 3, 0, 0, 16),
        i(0xb7, 4, 0, 0, 0),
        i(0x85, 0, 0, 0, 130),
        i(0xb7, 0, 0, 0, 0),
        i(0x95, 0, 0, 0, 0),
    ]);
    (insns, vec![Reloc { insn: at, target: RelocTarget::Map(ring) }])
}

fn ring() -> MapSpec {
    map("ring", MapKind::Ring, 0, 0, 1 << 16, Role::Ring)
}

fn go(
    spec: &ProgramSpec,
    kernel: &Kernel,
    format: Format,
    work: impl FnMut(),
) -> Result<(String, Outcome), RunError> {
    let mut out = Vec::new();
    let mut work = work;
    let ready = Box::new(move || {
        work();
        Ok(None)
    });
    let outcome =
        run(spec, kernel, Options { format, quiet: false, dry: false, out: &mut out, sink: None, ready })?;
    Ok((String::from_utf8(out).unwrap(), outcome))
}

#[test]
fn begin_prints_and_exits() {
    let Some(kernel) = kernel() else { return };
    let print = Action::Printf {
        format: "n=%d\n".into(),
        args: vec![Part { name: String::new(), offset: 0, shape: Shape::Int { signed: true } }],
        to: Stream::Out,
    };
    let (first, relocs) = send(0, 0, &[i(0xb7, 6, 0, 0, -7)]);
    let (second, more) = send(1, 0, &[i(0xb7, 6, 0, 0, 3)]);
    let spec = ProgramSpec {
        programs: vec![
            program("begin", Kind::Once, Attach::Begin, first, relocs),
            program("begin2", Kind::Once, Attach::Begin, second, more),
        ],
        maps: vec![ring()],
        actions: vec![print, Action::Exit],
        ..ProgramSpec::default()
    };
    let (text, outcome) = go(&spec, &kernel, Format::Text, || ()).unwrap();
    assert_eq!(text, "n=-7\n\n\n");
    assert_eq!(outcome, Outcome { code: 3, lost: 0, full: 0 });
    let (text, _) = go(&spec, &kernel, Format::Json, || ()).unwrap();
    assert_eq!(
        text,
        "{\"type\": \"attached_probes\", \"count\": 2, \"data\": {\"probes\": 2}}\n{\"type\": \"printf\", \"data\": \"n=-7\\n\"}\n"
    );
}

/// `rawtracepoint:inet_sock_set_state { @[args.newstate] = count() }`, and an exit once a socket has closed.
#[test]
fn a_btf_tracepoint_counts_by_key() {
    let Some(kernel) = kernel() else { return };
    let mut insns = vec![
        i(0x79, 6, 1, 16, 0), // r6 = args[2]
        i(0x67, 6, 0, 0, 32), // an int: keep the low half
        i(0x77, 6, 0, 0, 32),
        i(0x7b, 10, 6, -8, 0),
        i(0x7a, 10, 0, -16, 1),
        i(0x18, 1, 0, 0, 0),
        i(0, 0, 0, 0, 0),
        i(0xbf, 2, 10, 0, 0),
        i(0x07, 2, 0, 0, -8),
        i(0x85, 0, 0, 0, 1), // lookup
        i(0x15, 0, 0, 3, 0),
        i(0x79, 1, 0, 0, 0),
        i(0x07, 1, 0, 0, 1),
        i(0x7b, 0, 1, 0, 0),
        i(0x55, 0, 0, 9, 0), // found: on
        i(0x18, 1, 0, 0, 0),
        i(0, 0, 0, 0, 0),
        i(0xbf, 2, 10, 0, 0),
        i(0x07, 2, 0, 0, -8),
        i(0xbf, 3, 10, 0, 0),
        i(0x07, 3, 0, 0, -16),
        i(0xb7, 4, 0, 0, 0),
        i(0x85, 0, 0, 0, 2), // update
        i(0xb7, 0, 0, 0, 0),
        i(0x15, 6, 0, 2, 7), // TCP_CLOSE
        i(0xb7, 0, 0, 0, 0),
        i(0x95, 0, 0, 0, 0),
        i(0xb7, 6, 0, 0, 0),
    ];
    let mut relocs =
        vec![Reloc { insn: 5, target: RelocTarget::Map(1) }, Reloc { insn: 15, target: RelocTarget::Map(1) }];
    let (exit, mut more) = send(0, 0, &[]);
    for reloc in &mut more {
        reloc.insn += insns.len() as u32;
    }
    insns.extend(exit);
    relocs.extend(more);
    let states = MapSpec {
        key: Some(Shape::Int { signed: true }),
        value: Some(Value::Count),
        ..map("states", MapKind::PercpuHash, 8, 8, 64, Role::Script)
    };
    let place = Attach::RawTracepoint { event: "inet_sock_set_state".into() };
    let spec = ProgramSpec {
        programs: vec![program("states", Kind::BtfTracepoint, place, insns, relocs)],
        maps: vec![ring(), states],
        actions: vec![Action::Exit],
        ..ProgramSpec::default()
    };
    let connect = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        drop(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    };
    let (text, outcome) = go(&spec, &kernel, Format::Text, connect).unwrap();
    assert_eq!(outcome.code, 0);
    assert!(text.starts_with("\n\n@states["), "{text}");
    // SYN_SENT, ESTABLISHED and LISTEN happen to everybody who connects to himself.
    for state in [1, 2, 10] {
        assert!(text.lines().any(|line| line.starts_with(&format!("@states[{state}]: "))), "{state}: {text}");
    }
    let (text, _) = go(&spec, &kernel, Format::Json, connect).unwrap();
    assert!(text.contains("{\"type\": \"map\", \"data\": {\"@states\": {\""), "{text}");
}

#[test]
fn an_interval_fires() {
    let Some(kernel) = kernel() else { return };
    let (insns, relocs) = send(0, 0, &[i(0xb7, 6, 0, 0, 0)]);
    let place = Attach::Interval { ns: 20_000_000, written: "ms:20".to_owned() };
    let spec = ProgramSpec {
        programs: vec![program("tick", Kind::PerfEvent, place, insns, relocs)],
        maps: vec![ring()],
        actions: vec![Action::Exit],
        ..ProgramSpec::default()
    };
    let (text, _) = go(&spec, &kernel, Format::Text, || ()).unwrap();
    assert_eq!(text, "\n\n");
}

#[test]
fn a_refused_program_names_its_place() {
    let Some(kernel) = kernel() else { return };
    // Reads a register nobody has written, in the second instruction.
    let insns = vec![i(0xb7, 6, 0, 0, 0), i(0xbf, 0, 7, 0, 0), i(0x95, 0, 0, 0, 0)];
    let spec = ProgramSpec {
        programs: vec![program("bad", Kind::Once, Attach::Begin, insns, Vec::new())],
        ..ProgramSpec::default()
    };
    match Objects::load(&spec, &kernel) {
        Err(LoadError::Program(refused)) => {
            assert_eq!(refused.place, Some((6, 9)));
            assert_eq!(refused.verdict.as_deref(), Some("R7 !read_ok"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn callbacks_are_loaded_with_their_types() {
    let Some(kernel) = kernel() else { return };
    if !kernel.features(false).bpf_loop {
        println!("skipped: loop: this kernel has no bpf_loop");
        return;
    }
    let insns = vec![
        i(0xb7, 1, 0, 0, 3),
        i(0x18, 2, 4, 0, 6), // relative to the next instruction: 1 + 6 + 1 = 8
        i(0, 0, 0, 0, 0),
        i(0xb7, 3, 0, 0, 0),
        i(0xb7, 4, 0, 0, 0),
        i(0x85, 0, 0, 0, 181),
        i(0xb7, 0, 0, 0, 0),
        i(0x95, 0, 0, 0, 0),
        i(0xb7, 0, 0, 0, 0),
        i(0x95, 0, 0, 0, 0),
    ];
    let mut one = program("loop", Kind::Once, Attach::Begin, insns, Vec::new());
    one.subprograms = vec![Subprogram { insn: 8, name: "each".into(), params: 2 }];
    one.relocs = vec![Reloc { insn: 1, target: RelocTarget::Subprogram(0) }];
    let spec = ProgramSpec { programs: vec![one], ..ProgramSpec::default() };
    if let Err(error) = Objects::load(&spec, &kernel) {
        let log = if let LoadError::Program(refused) = &error { refused.log.as_str() } else { "" };
        panic!("{error}\n{log}");
    }
}
