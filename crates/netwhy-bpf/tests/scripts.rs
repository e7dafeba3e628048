//! Scripts, compiled and run on the running kernel; traffic on the loopback only.

use std::net::{TcpListener, TcpStream};

use netwhy_bpf::kernel::Kernel;
use netwhy_bpf::ladder;
use netwhy_bpf::session::{Format, Options, run};
use netwhy_sys::caps::{self, Capability};

/// What a script prints, `work` being done once it is attached. `None`, said aloud, where it cannot run.
fn output(script: &str, format: Format, work: fn()) -> Option<String> {
    if !caps::effective().unwrap().has(Capability::SysAdmin) {
        println!("skipped: needs CAP_SYS_ADMIN");
        return None;
    }
    let kernel = match Kernel::open() {
        Ok(kernel) => kernel,
        Err(error) => {
            println!("skipped: {error}");
            return None;
        }
    };
    let script = ladder::without_tracefs(script, &kernel).script;
    let features = kernel.features(false);
    let compiled = netwhy_lang::compile(&script, &Default::default(), &kernel, &kernel, &features);
    let compiled = compiled.unwrap_or_else(|error| panic!("{}", error.render("test", &script)));
    let mut out = Vec::new();
    let ready = Box::new(move || {
        work();
        Ok(None)
    });
    let options = Options { format, quiet: true, out: &mut out, ready };
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
    assert_eq!(text, "@x[1, a]: 5\n\nhi ff\nbye\n\n\n@x[1, a]: 5\n\n");
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
