//! Probe scripts as people type them, verbatim: on kprobes where the kernel has them, else by the ladder.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use netwhy_bpf::kernel::Kernel;
use netwhy_bpf::session::{Format, Options, run};
use netwhy_sys::caps::{self, Capability};

/// Script, and what must be in its output.
const SEEDS: [(&str, &str); 10] = [
    ("tracepoint:syscalls:sys_enter_* { @[comm] = count(); }", "@[scripts_run_as_]: "),
    ("\n  kprobe:tcp_connect {\n    printf(\"TCP connect by PID %d\\n\", pid);\n  }", "TCP connect by PID "),
    ("\n  kprobe:tcp_sendmsg {\n    @send_bytes = hist(arg2);\n  }", "@send_bytes:"),
    ("\n  tracepoint:skb:kfree_skb {\n    @[stack] = count();\n  }", "@["),
    (
        "\n  kprobe:tcp_rcv_established {\n    $sk = (struct sock *)arg0;\n    $tp = (struct tcp_sock *)$sk;\n    \
         @rtt_us = hist($tp->srtt_us >> 3);\n  }",
        "@rtt_us:",
    ),
    ("\n  tracepoint:net:netif_receive_skb {\n    @pkts[args->name] = count();\n  }", "@pkts[lo]"),
    (
        "\n  kprobe:__netif_receive_skb_core,\n  kprobe:ip_rcv,\n  kprobe:tcp_v4_rcv {\n    @start[tid] = nsecs;\n  }\n\n  \
         kretprobe:__netif_receive_skb_core,\n  kretprobe:ip_rcv,\n  kretprobe:tcp_v4_rcv /@start[tid]/ {\n    \
         @time_ns[probe] = hist(nsecs - @start[tid]);\n    delete(@start[tid]);\n  }",
        "@time_ns[kretprobe:",
    ),
    ("tracepoint:skb:kfree_skb { @[kstack] = count(); }", "@["),
    (
        "\n  kprobe:tcp_connect {\n    printf(\"%s: TCP connect attempt\\n\", strftime(\"%H:%M:%S\", nsecs));\n  }\n  \
         kretprobe:tcp_connect {\n    printf(\"%s: TCP connect returned %d\\n\", strftime(\"%H:%M:%S\", nsecs), retval);\n  }",
        "TCP connect attempt",
    ),
    ("kretprobe:tcp_connect { printf(\"TCP connect returned %d\\n\", retval); }", "TCP connect returned 0"),
];

/// A connection over the loopback that carries bytes both ways, and one that is refused: a packet is dropped.
fn traffic() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut near = TcpStream::connect(address).unwrap();
    let (mut far, _) = listener.accept().unwrap();
    let mut byte = [0];
    for _ in 0..10 {
        near.write_all(b"x").unwrap();
        far.read_exact(&mut byte).unwrap();
        far.write_all(b"y").unwrap();
        near.read_exact(&mut byte).unwrap();
    }
    drop((listener, near, far));
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn scripts_run_as_they_are_typed() {
    if !caps::effective().unwrap().has(Capability::SysAdmin) {
        println!("skipped: privilege: needs CAP_SYS_ADMIN");
        return;
    }
    for (script, wanted) in SEEDS {
        let kernel = Kernel::open().unwrap();
        let features = kernel.features(false);
        let compiled = netwhy_lang::compile(script, &Default::default(), &kernel, &kernel, &features);
        let compiled = compiled.unwrap_or_else(|error| panic!("{}", error.render("seed", script)));
        let mut out = Vec::new();
        // Its end is that of a process, as with -c.
        let ready = Box::new(|| {
            traffic();
            let child = std::process::Command::new("true").spawn()?;
            let fd = netwhy_sys::process::PidFd::open(child.id()).map_err(std::io::Error::other)?;
            let fd = std::os::fd::AsFd::as_fd(&fd).try_clone_to_owned()?;
            Ok(Some(fd))
        });
        let options =
            Options { format: Format::Text, quiet: false, dry: false, out: &mut out, sink: None, ready };
        run(&compiled.spec, &kernel, options).unwrap_or_else(|error| panic!("{script}\n{error}"));
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(wanted), "{script}\n{text}");
    }
}
