//! Scripts, compiled and run on the running kernel; traffic on the loopback only.

use std::net::{TcpListener, TcpStream};

use netwhy_bpf::background::Background;
use netwhy_bpf::kernel::Kernel;
use netwhy_bpf::session::{Format, Options, run};
use netwhy_bpf::{ladder, record};
use netwhy_sys::caps::{self, Capability};

/// The running kernel. `None`, said aloud, where it cannot be looked at.
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

/// What a script prints, `work` being done once it is attached. `None`, said aloud, where it cannot run.
fn output(script: &str, format: Format, work: fn()) -> Option<String> {
    let kernel = kernel()?;
    let script = ladder::without_tracefs(script, &kernel).script;
    let features = kernel.features(false);
    let compiled = netwhy_lang::compile(&script, &Default::default(), &kernel, &kernel, &features);
    let compiled = compiled.unwrap_or_else(|error| panic!("{}", error.render("test", &script)));
    let mut out = Vec::new();
    let ready = Box::new(move || {
        work();
        Ok(None)
    });
    let options = Options { format, quiet: true, dry: false, out: &mut out, sink: None, ready };
    run(&compiled.spec, &kernel, options).unwrap_or_else(|error| panic!("{error}"));
    Some(String::from_utf8(out).unwrap())
}

fn connect() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    drop(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
}

#[test]
fn begin_and_end_print() {
    let script = r#"BEGIN { @x[1, "a"] = 5; print(@x); printf("%s %x\n", "hi", 255); exit(); } END { printf("bye\n"); }"#;
    let Some(text) = output(script, Format::Text, || ()) else { return };
    assert_eq!(text, "@x[1, a]: 5\nhi ff\nbye\n\n\n@x[1, a]: 5\n");
}

#[test]
fn states_of_sockets_are_counted() {
    let script = "tracepoint:sock:inet_sock_set_state { @[args.newstate] = count(); if (args.newstate == 7) { exit(); } }";
    let Some(text) = output(script, Format::Text, connect) else { return };
    for state in [1, 2, 10] {
        assert!(text.lines().any(|line| line.starts_with(&format!("@[{state}]: "))), "{state}: {text}");
    }
}

#[test]
fn histograms_and_statistics_as_json() {
    let script = "BEGIN { @h = hist(5); @s = stats(4); @s = stats(8); exit(); }";
    let Some(text) = output(script, Format::Json, || ()) else { return };
    assert!(
        text.contains(r#"{"type": "hist", "data": {"@h": [{"min": 4, "max": 7, "count": 1}]}}"#),
        "{text}"
    );
    let stats = r#"{"type": "stats", "data": {"@s": {"count": 2, "average": 6, "total": 12}}}"#;
    assert!(text.contains(stats), "{text}");
}

#[test]
fn the_scheduler_is_seen_and_an_interval_ends_it() {
    let script = "rawtracepoint:sched_switch { @ = count(); } interval:ms:100 { exit(); }";
    let Some(text) = output(script, Format::Text, || ()) else { return };
    let count: u64 = text.trim().strip_prefix("@: ").unwrap().parse().unwrap();
    assert!(count > 0, "{text}");
}

#[derive(Default)]
struct Taken {
    records: Vec<String>,
    tables: Vec<(String, Vec<(record::Value, record::Value)>)>,
    text: String,
}

impl record::Sink for Taken {
    fn record(&mut self, record: record::Record<'_>) -> std::io::Result<()> {
        let fields: Vec<String> = record.fields.iter().map(|(n, v)| format!("{n}={}", v.json())).collect();
        self.records.push(format!("{} {}", record.name, fields.join(" ")));
        Ok(())
    }

    fn table(&mut self, table: record::Table<'_>) -> std::io::Result<()> {
        self.tables.push((table.name.to_owned(), table.rows));
        Ok(())
    }

    fn text(&mut self, text: &str) -> std::io::Result<()> {
        self.text.push_str(text);
        Ok(())
    }
}

#[test]
fn a_sink_takes_records_tables_and_text_as_values() {
    let Some(kernel) = kernel() else { return };
    let script = r#"BEGIN {
        emit(seen, {n: getopt("n", 5), name: getopt("name", "none"), on: getopt("on"), off: getopt("off")});
        @h = hist(5);
        @k["a", 2] = 7;
        print(@k); print(@h);
        printf("%d\n", getopt("m", -1));
        exit();
    }"#;
    let named = [("n", "0x10"), ("name", "x"), ("on", "true")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    let options = netwhy_lang::Options { named: named.to_vec(), ..Default::default() };
    let compiled = netwhy_lang::compile(script, &options, &kernel, &kernel, &kernel.features(false));
    let spec = compiled.unwrap_or_else(|error| panic!("{}", error.render("test", script))).spec;
    let (mut out, mut taken) = (Vec::new(), Taken::default());
    let sink = Some(&mut taken as &mut dyn record::Sink);
    let ready = Box::new(|| Ok(None));
    run(
        &spec,
        &kernel,
        Options { format: Format::Text, quiet: true, dry: false, out: &mut out, sink, ready },
    )
    .unwrap();
    assert_eq!(out, b"");
    assert_eq!(taken.records, ["seen n=16 name=\"x\" on=true off=false"]);
    assert_eq!(taken.text, "-1\n");
    let (name, rows) = &taken.tables[0];
    assert_eq!((name.as_str(), rows.len()), ("k", 1));
    assert_eq!((rows[0].0.json().to_string().as_str(), rows[0].1.number()), (r#"["a",2]"#, Some(7)));
    let (name, rows) = &taken.tables[1];
    assert_eq!(name, "h");
    assert_eq!(rows[0].1.get("0.from").and_then(record::Value::number), Some(4));
    assert_eq!(rows[0].1.get("0.to").and_then(record::Value::number), Some(8));
}

#[test]
fn a_script_in_the_background_hands_over_records_while_other_work_goes_on() {
    let Some(kernel) = kernel() else { return };
    let script = "BEGIN { @mine[$1] = 1; } rawtracepoint:inet_sock_set_state { $sk = args.sk; if (@mine[pid]) { \
                  emit(state, {to: args.newstate, f: flow($sk), who: comm}); printf(\"no record\\n\"); } }";
    let options = netwhy_lang::Options { params: vec![std::process::id().to_string()], ..Default::default() };
    let compiled = netwhy_lang::compile(script, &options, &kernel, &kernel, &kernel.features(false));
    let compiled = compiled.unwrap_or_else(|error| panic!("{}", error.render("test", script)));
    let mut run = Background::begin(compiled.spec, &kernel).unwrap();
    assert_eq!(run.places(), 1);
    connect();
    let mut states = Vec::new();
    let polled = run.poll(1, |record| states.extend(record.get("to").cloned()));
    assert_eq!(polled, 1, "the records of a finished connection are there without waiting");
    let mut last = None;
    let ended = run
        .end(|record| {
            assert_eq!(record.name, "state");
            states.extend(record.get("to").cloned());
            last = record.get("f.saddr").cloned();
        })
        .unwrap();
    assert_eq!(ended.lost, 0);
    assert!(ended.other > 0, "what printf said is counted");
    // Listening (10), then connecting (2), connected (1), and closed (7) in the end.
    for state in [10, 2, 1, 7] {
        assert!(states.contains(&record::Value::Int(state)), "{state}: {states:?}");
    }
    assert_eq!(last, Some(record::Value::Addr([127, 0, 0, 1].into())));
}

#[test]
fn a_map_of_a_script_in_the_background_is_filled_from_outside() {
    let Some(kernel) = kernel() else { return };
    let script = "BEGIN { @mine[0] = 1; } rawtracepoint:inet_sock_set_state { if (@mine[pid]) { emit(seen, {by: pid}); } }";
    let compiled =
        netwhy_lang::compile(script, &Default::default(), &kernel, &kernel, &kernel.features(false));
    let mut run = Background::begin(compiled.unwrap().spec, &kernel).unwrap();
    connect();
    assert_eq!(run.poll(1, |_| ()), 0);
    run.put("mine", &[std::process::id().into()], 1).unwrap();
    connect();
    assert_eq!(run.poll(1, |_| ()), 1);
    assert!(run.put("none", &[1], 1).is_err());
    assert!(run.put("mine", &[1, 2], 1).is_err(), "a key of another size");
}
