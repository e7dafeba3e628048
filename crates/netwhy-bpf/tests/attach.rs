//! Every kind of probe, compiled, attached, fired and read on the running kernel. What the kernel cannot attach is
//! skipped with a line `skipped: FEATURE: reason`, which the kernel matrix holds against what the kernel has.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use netwhy_bpf::elf::Elf;
use netwhy_bpf::kernel::Kernel;
use netwhy_bpf::probing::Outcome;
use netwhy_bpf::session::{Format, Options, run};
use netwhy_sys::caps::{self, Capability};
use netwhy_sys::process::kill;
use netwhy_sys::signal::Signal;

fn kernel() -> Option<Kernel> {
    if !caps::effective().unwrap().has(Capability::SysAdmin) {
        println!("skipped: privilege: needs CAP_SYS_ADMIN");
        return None;
    }
    Some(Kernel::open().unwrap())
}

/// Whether the kernel has a feature, said aloud when not.
fn has(name: &str, outcome: &Outcome) -> bool {
    if !outcome.yes() {
        println!("skipped: {name}: {outcome}");
    }
    outcome.yes()
}

/// What a script prints, `work` being done once it is attached.
fn text(kernel: &Kernel, script: &str, work: impl FnMut()) -> String {
    attempt(kernel, script, work).unwrap_or_else(|error| panic!("{script}\n{error}"))
}

fn attempt(kernel: &Kernel, script: &str, mut work: impl FnMut()) -> Result<String, String> {
    let features = kernel.features(false);
    let compiled = netwhy_lang::compile(script, &Default::default(), kernel, kernel, &features)
        .map_err(|error| error.render("test", script))?;
    let mut out = Vec::new();
    let ready = Box::new(move || {
        work();
        Ok(None)
    });
    let options = Options { format: Format::Text, quiet: true, dry: false, out: &mut out, sink: None, ready };
    run(&compiled.spec, kernel, options).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(out).unwrap())
}

fn connect() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    drop(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
}

#[inline(never)]
fn probed_here(a: u32, b: u32) -> u32 {
    std::hint::black_box(a).wrapping_mul(std::hint::black_box(b))
}

#[inline(never)]
fn probed_there(a: u32) -> u32 {
    std::hint::black_box(a) + 1
}

/// The name of a function of this program as its symbols have it.
fn mangled(part: &str) -> String {
    let elf = Elf::open("/proc/self/exe".as_ref()).unwrap();
    let found = elf.symbols().into_iter().find(|symbol| symbol.function && symbol.name.contains(part));
    found.unwrap_or_else(|| panic!("no symbol {part}")).name
}

fn this_program() -> String {
    std::env::current_exe().unwrap().display().to_string()
}

#[test]
fn a_user_function_shows_its_arguments_and_what_it_returns() {
    let Some(kernel) = kernel() else { return };
    if !has("uprobe", kernel.probing().uprobe()) {
        return;
    }
    let place = format!("{}:{}", this_program(), mangled("probed_here"));
    let script = format!(
        "uprobe:{place} {{ printf(\"%d %d\\n\", arg0, arg1); }} uretprobe:{place} {{ printf(\"= %d\\n\", retval); exit(); }}"
    );
    assert_eq!(
        text(&kernel, &script, || {
            probed_here(6, 7);
        })
        .trim_end(),
        "6 7\n= 42"
    );
}

#[test]
fn one_link_holds_all_functions_of_a_wildcard() {
    let Some(kernel) = kernel() else { return };
    if !has("uprobe_multi", kernel.probing().uprobe_multi()) {
        return;
    }
    let script =
        format!("uprobe:{}:*probed_* {{ @ = count(); }} interval:ms:200 {{ exit(); }}", this_program());
    let seen = text(&kernel, &script, || {
        probed_here(1, 2);
        probed_there(3);
    });
    assert!(seen.trim_start().starts_with("@: 2"), "{seen}");
}

#[test]
fn wildcards_of_user_functions_work_without_such_links() {
    let Some(kernel) = kernel() else { return };
    if !has("uprobe", kernel.probing().uprobe()) {
        return;
    }
    let script = format!(
        "uprobe:{}:*probed_* {{ printf(\"%d \", arg0); }} interval:ms:200 {{ exit(); }}",
        this_program()
    );
    let seen = text(&kernel, &script, || {
        probed_here(11, 2);
        probed_there(13);
    });
    assert_eq!(seen.trim_end(), "11 13");
}

#[test]
fn user_stacks_have_names() {
    let Some(kernel) = kernel() else { return };
    if !has("uprobe", kernel.probing().uprobe()) {
        return;
    }
    let name = mangled("probed_there");
    let script = format!(
        "uprobe:{}:{name} {{ printf(\"%s %s\", usym(reg(\"ip\")), ustack(1)); exit(); }}",
        this_program()
    );
    if cfg!(not(target_arch = "x86_64")) {
        println!("skipped: x86_64: registers have other names");
        return;
    }
    let seen = text(&kernel, &script, || {
        probed_there(1);
    });
    assert!(seen.starts_with(&format!("{name} \n        {name}+0\n")), "{seen}");
}

/// A program in C, built once a run.
fn built(name: &str, source: &str) -> Option<String> {
    let dir = std::env::temp_dir().join(format!("netwhy-attach-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (from, to) = (dir.join("it.c"), dir.join("it"));
    std::fs::write(&from, source).unwrap();
    match Command::new("cc").args(["-O1", "-g0", "-o"]).arg(&to).arg(&from).status() {
        Ok(status) => assert!(status.success()),
        Err(error) => {
            println!("skipped: cc: {error}");
            return None;
        }
    }
    Some(to.display().to_string())
}

/// A child that is ended with its guard.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A statically defined probe by hand, as <sys/sdt.h> writes it, with a semaphore: it fires when asked for only.
const USDT: &str = r#"
#include <unistd.h>
__attribute__((section(".probes"))) volatile unsigned short tick_semaphore;
int main(void) {
    for (int n = 0;; n++) {
        char c;
        if (read(0, &c, 1) != 1) return 0;
        if (tick_semaphore) {
            __asm__ volatile(
                "990: nop\n"
                ".pushsection .note.stapsdt,\"?\",\"note\"\n .balign 4\n .4byte 992f-991f, 994f-993f, 3\n"
                "991: .asciz \"stapsdt\"\n992: .balign 4\n993: .8byte 990b\n .8byte _.stapsdt.base\n"
                " .8byte tick_semaphore\n .asciz \"netwhy\"\n .asciz \"tick\"\n .asciz \"-4@%0 4@$7 1@%1\"\n994: .balign 4\n .popsection\n"
                ".ifndef _.stapsdt.base\n .pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"
                " .weak _.stapsdt.base\n .hidden _.stapsdt.base\n _.stapsdt.base: .space 1\n .size _.stapsdt.base, 1\n .popsection\n.endif\n"
                :: "r"(-5 - n), "m"(c));
        }
        (void)!write(1, "x", 1);
    }
}
"#;

#[test]
fn a_statically_defined_probe_fires_with_its_arguments() {
    let Some(kernel) = kernel() else { return };
    if !has("uprobe", kernel.probing().uprobe()) {
        return;
    }
    let Some(path) = built("usdt", USDT) else { return };
    let child = Command::new(&path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut child = Running(child);
    let script = format!("usdt:{path}:netwhy:tick {{ printf(\"%d %d %c\\n\", arg0, arg1, arg2); exit(); }}");
    let seen = text(&kernel, &script, || {
        use std::io::{Read, Write};
        child.0.stdin.as_mut().unwrap().write_all(b"A").unwrap();
        child.0.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    });
    assert_eq!(seen.trim_end(), "-5 7 A");
    assert!(attempt(&kernel, &format!("usdt:{path}:netwhy:tock {{ exit(); }}"), || ()).is_err());
}

#[test]
fn a_kernel_function_shows_its_arguments_and_what_it_returns() {
    let Some(kernel) = kernel() else { return };
    if !has("kprobe", kernel.probing().kprobe()) {
        return;
    }
    let script = "kprobe:tcp_v4_connect { printf(\"%d %d\\n\", ((struct sock *)arg0)->__sk_common.skc_family, arg2); } \
                  kretprobe:tcp_v4_connect { printf(\"= %d\\n\", retval); exit(); }";
    assert_eq!(text(&kernel, script, connect).trim_end(), "2 16\n= 0");
}

#[test]
fn a_place_inside_of_a_kernel_function_is_attached() {
    let Some(kernel) = kernel() else { return };
    if !has("kprobe", kernel.probing().kprobe()) {
        return;
    }
    // Where the next instruction starts depends on the compiler: some offset of the first ones is one.
    let fits = (1..16).any(|by| {
        let script = format!("kprobe:tcp_v4_connect+{by} {{ @ = count(); exit(); }}");
        attempt(&kernel, &script, connect).is_ok()
    });
    assert!(fits);
    let error = attempt(&kernel, "kprobe:no_such_function_here { exit(); }", || ()).unwrap_err();
    assert!(error.contains("no_such_function_here"), "{error}");
}

#[test]
fn one_link_holds_all_kernel_functions_of_a_wildcard() {
    let Some(kernel) = kernel() else { return };
    if !has("kprobe_multi", kernel.probing().kprobe_multi()) {
        return;
    }
    let script = "kprobe:tcp_v4_c*, kprobe:tcp_fin* { @ = count(); } interval:ms:300 { exit(); }";
    let seen = text(&kernel, script, connect);
    assert!(seen.contains("@: ") && !seen.contains("@: 0"), "{seen}");
}

#[test]
fn wildcards_of_kernel_functions_work_one_by_one() {
    let Some(kernel) = kernel() else { return };
    if !has("kprobe", kernel.probing().kprobe()) {
        return;
    }
    let script =
        "kprobe:tcp_v4_conn*, kprobe:tcp_finish_conn* { @[func] = count(); } interval:ms:300 { exit(); }";
    let seen = text(&kernel, script, connect);
    assert!(seen.contains("@[tcp_v4_connect]: 1") && seen.contains("@[tcp_finish_connect]: 1"), "{seen}");
}

#[test]
fn a_trampoline_shows_typed_arguments_and_what_is_returned() {
    let Some(kernel) = kernel() else { return };
    if !has("fentry", kernel.probing().fentry(&kernel)) {
        return;
    }
    let script = "fentry:tcp_v4_connect { printf(\"%d %d\\n\", args.sk->__sk_common.skc_family, args.addr_len); } \
                  fexit:tcp_v4_connect { printf(\"= %d\\n\", retval); exit(); }";
    assert_eq!(text(&kernel, script, connect).trim_end(), "2 16\n= 0");
}

#[test]
fn a_trampoline_in_a_module_shows_the_modules_own_types() {
    let Some(kernel) = kernel() else { return };
    if !has("fentry", kernel.probing().fentry(&kernel)) {
        return;
    }
    // The file system this very program lies on, in the guests of the matrix.
    let (module, function) = ("overlay", "ovl_open");
    if !kernel.modules().iter().any(|known| known == module) {
        println!("skipped: module btf: {module} is no module here, or has no types");
        return;
    }
    let script = format!(
        "fentry:{module}:{function} /pid == {}/ {{ printf(\"%s\\n\", str(args.file.f_path.dentry.d_name.name)); exit(); }}",
        std::process::id()
    );
    let name = std::env::current_exe().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    let seen =
        text(&kernel, &script, || drop(std::fs::File::open(std::env::current_exe().unwrap()).unwrap()));
    assert_eq!(seen.trim_end(), name);
    // Without its name the module is found by the function's.
    let script = format!(
        "fexit:{function} /pid == {}/ {{ printf(\"= %d\\n\", retval); exit(); }}",
        std::process::id()
    );
    let seen =
        text(&kernel, &script, || drop(std::fs::File::open(std::env::current_exe().unwrap()).unwrap()));
    assert_eq!(seen.trim_end(), "= 0");
}

#[test]
fn a_tracepoint_of_tracefs_shows_its_record() {
    let Some(kernel) = kernel() else { return };
    let script =
        "tracepoint:syscalls:sys_enter_connect /pid == $1/ { printf(\"%d\\n\", args.addrlen); exit(); }";
    let script = script.replace("$1", &std::process::id().to_string());
    assert_eq!(text(&kernel, &script, connect).trim_end(), "16");
}

#[test]
fn an_address_that_is_written_is_noticed() {
    let Some(kernel) = kernel() else { return };
    if !has("watchpoint", kernel.probing().watchpoint()) {
        return;
    }
    // A watched address belongs to one thread: that of this test.
    kernel.set_target(Some(netwhy_sys::process::thread_id()));
    let cell = Box::new(std::sync::atomic::AtomicU64::new(0));
    let address = std::ptr::from_ref(&*cell) as usize;
    let script = format!("watchpoint:{address}:8:w {{ @ = count(); }} interval:ms:200 {{ exit(); }}");
    let seen = text(&kernel, &script, || cell.store(1, std::sync::atomic::Ordering::SeqCst));
    assert!(seen.contains("@: 1"), "{seen}");
}

#[test]
fn clocks_tick() {
    let Some(kernel) = kernel() else { return };
    let work = || {
        let end = std::time::Instant::now() + std::time::Duration::from_millis(100);
        while std::time::Instant::now() < end {
            std::hint::black_box(0);
        }
    };
    for script in [
        "profile:hz:999 { @ = count(); } interval:ms:300 { exit(); }",
        "software:cpu-clock:1000000 { @ = count(); } interval:ms:300 { exit(); }",
    ] {
        let seen = text(&kernel, script, work);
        assert!(seen.contains("@: ") && !seen.contains("@: 0"), "{script}: {seen}");
    }
}

#[test]
fn counters_of_the_processor_tick() {
    let Some(kernel) = kernel() else { return };
    if !has("hardware", kernel.probing().hardware()) {
        return;
    }
    let work = || {
        let end = std::time::Instant::now() + std::time::Duration::from_millis(100);
        while std::time::Instant::now() < end {
            std::hint::black_box(0);
        }
    };
    let seen = text(&kernel, "hardware:cycles:100000 { @ = count(); } interval:ms:300 { exit(); }", work);
    assert!(seen.contains("@: ") && !seen.contains("@: 0"), "{seen}");
}

#[test]
fn a_signal_to_the_session_runs_its_probe() {
    let Some(kernel) = kernel() else { return };
    // Only a thread that blocks the signal may be sent it: the session's does, the other tests' do not.
    let script = "self:signal:SIGUSR1 { printf(\"came\\n\"); exit(); }";
    let seen = text(&kernel, script, || {
        let thread = netwhy_sys::process::thread_id();
        assert!(std::path::Path::new(&format!("/proc/{thread}")).exists());
        netwhy_sys::signal::raise(Signal::new(10)).unwrap();
    });
    assert_eq!(seen.trim_end(), "came");
}

#[test]
fn iterators_write_what_they_see() {
    let Some(kernel) = kernel() else { return };
    if !has("iter", kernel.probing().iter(&kernel)) {
        return;
    }
    let seen = text(&kernel, "iter:task { printf(\"%d %s\\n\", ctx.task.pid, ctx.task.comm); }", || ());
    // The thread of this test is one of them.
    assert!(seen.lines().any(|line| line.ends_with(" iterators_write")), "{seen}");
}

#[test]
fn a_process_is_left_alone_when_the_target_is_gone() {
    let mut child = Command::new("sleep").arg("100").spawn().unwrap();
    kill(child.id(), Signal::KILL).unwrap();
    child.wait().unwrap();
    let Some(kernel) = kernel() else { return };
    if !has("uprobe", kernel.probing().uprobe()) {
        return;
    }
    kernel.set_target(Some(child.id()));
    let script = format!("uprobe:{}:{} {{ exit(); }}", this_program(), mangled("probed_there"));
    assert!(attempt(&kernel, &script, || ()).unwrap_err().contains("ESRCH"));
}
