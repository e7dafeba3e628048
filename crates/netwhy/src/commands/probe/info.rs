//! `--info`: what this kernel attaches, one line each, with the names bpftrace's tools look for.

use std::fmt::Write;

use netwhy_bpf::kernel::Kernel;
use netwhy_bpf::probing::Outcome;
use netwhy_sys::procfs::Tree;

/// The whole text.
pub(super) fn text(kernel: &Kernel) -> String {
    let read =
        |name: &str| Tree::proc().value(name).unwrap_or_else(|error| format!("not readable ({error})"));
    let mut out = format!(
        "System\n  OS: Linux {} {}\n  Arch: {}\n\nBuild\n  version: netwhy {}\n  LLVM: none: scripts are compiled by netwhy itself\n",
        read("sys/kernel/osrelease"),
        read("sys/kernel/version"),
        std::env::consts::ARCH,
        env!("CARGO_PKG_VERSION"),
    );
    // What bpftrace's own tests ask for and a kernel cannot answer.
    for (name, value) in
        [("bfd", "no"), ("libdw (DWARF support)", "no"), ("dwunwind (DWARF stack unwinding)", "no")]
    {
        let _ = writeln!(out, "  {name}: {value}");
    }
    out.push_str("\nKernel helpers\n");
    for (name, helper) in [
        ("get_tai_ns", "BPF_FUNC_ktime_get_tai_ns"),
        ("get_func_ip", "BPF_FUNC_get_func_ip"),
        ("lookup_percpu_elem", "BPF_FUNC_map_lookup_percpu_elem"),
        ("loop", "BPF_FUNC_loop"),
        ("for_each_map_elem", "BPF_FUNC_for_each_map_elem"),
        ("get_current_task_btf", "BPF_FUNC_get_current_task_btf"),
        ("dpath", "BPF_FUNC_d_path"),
    ] {
        let _ = writeln!(
            out,
            "  {name}: {}",
            if kernel.btf().enumerator(helper).is_some() { "yes" } else { "no" }
        );
    }
    let probing = kernel.probing();
    let modules = kernel.modules();
    let _ = writeln!(
        out,
        "\nKernel features\n  btf: yes\n  module btf: {}",
        if modules.is_empty() { "no" } else { "yes" }
    );
    let tracefs = kernel
        .tracefs()
        .map_or(Outcome::Denied("neither mounted nor to be opened".to_owned()), |_| Outcome::Yes);
    out.push_str("\nProbe types\n");
    let features: [(&str, &Outcome); 13] = [
        ("tracepoint", &tracefs),
        ("rawtracepoint", probing.raw_tracepoint()),
        ("tp_btf", probing.tp_btf(kernel)),
        ("kprobe", probing.kprobe()),
        ("kprobe_multi", probing.kprobe_multi()),
        ("uprobe", probing.uprobe()),
        ("uprobe_multi", probing.uprobe_multi()),
        ("fentry", probing.fentry(kernel)),
        ("iter", probing.iter(kernel)),
        ("hardware", probing.hardware()),
        ("watchpoint", probing.watchpoint()),
        ("perf_link", probing.perf_link()),
        ("long_keys", probing.long_keys()),
    ];
    for (name, outcome) in features {
        let _ = writeln!(out, "  {name}: {outcome}");
    }
    out
}
