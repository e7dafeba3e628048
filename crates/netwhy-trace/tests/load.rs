//! Every shipped script compiles and passes the verifier of the running kernel, with each of its options.

use netwhy_bpf::kernel::Kernel;
use netwhy_bpf::load::Objects;
use netwhy_sys::caps::{self, Capability};
use netwhy_trace::header::{Opt, Tool};
use netwhy_trace::{options, run, tools};

/// A value an option takes.
fn example(opt: &Opt) -> Option<String> {
    let kind = opt.arg.as_deref()?;
    Some(match kind {
        "PORTS" => "80,443,8080".to_owned(),
        "CGROUP" => "7".to_owned(),
        "IPV4" => "192.0.2.1".to_owned(),
        "NETNS" => "4026531840".to_owned(),
        "DEV" => "lo".to_owned(),
        "NAME" => "example.com".to_owned(),
        "EXPR" => "tcp port 80".to_owned(),
        _ => "1".to_owned(),
    })
}

/// The call without options; with each option that chooses parts of the script; and with all others at once.
fn calls(tool: &Tool) -> Vec<Vec<String>> {
    let mut calls = vec![Vec::new()];
    let (mut filters, mut words) = (Vec::new(), Vec::new());
    for opt in options::all(tool) {
        if ["help", "print", "ebpf", "json", "duration"].contains(&opt.sets.as_str()) {
            continue;
        }
        let mut call = Vec::new();
        match (&opt.long, opt.short) {
            (Some(long), _) => call.push(format!("--{long}")),
            (None, Some(short)) => call.push(format!("-{short}")),
            (None, None) => {
                words.extend(example(&opt));
                continue;
            }
        }
        call.extend(example(&opt));
        let chooses = ["//#if opt ", "//#if not opt "].iter().any(|word| {
            let line = format!("{word}{}", opt.sets);
            tool.script.lines().any(|other| other.trim() == line)
        });
        if chooses { calls.push(call) } else { filters.extend(call) }
    }
    filters.extend(words);
    calls.push(filters);
    calls
}

#[test]
fn every_script_loads_with_each_option() {
    if !caps::effective().unwrap().has(Capability::SysAdmin) {
        println!("skipped: privilege: needs CAP_SYS_ADMIN");
        return;
    }
    let kernel = Kernel::open().unwrap();
    let mut wrong = Vec::new();
    for tool in tools::all() {
        for args in calls(&tool) {
            let call = options::parse(&tool, &args).unwrap_or_else(|e| panic!("{} {args:?}: {e}", tool.name));
            let loaded = run::compile(&tool, &call, &kernel)
                .map_err(|error| error.to_string())
                .and_then(|spec| Objects::load(&spec, &kernel).map(drop).map_err(|error| error.to_string()));
            if let Err(error) = loaded {
                wrong.push(format!("{} {}: {error}", tool.name, args.join(" ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
