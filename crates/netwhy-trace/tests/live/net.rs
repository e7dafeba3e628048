//! Two namespaces, and a tool run over what happens in them.

use std::io::Write;
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use netwhy_bpf::kernel::Kernel;
use netwhy_change::RouteWriter;
use netwhy_sys::caps::{self, Capability};
use netwhy_sys::netlink::{Protocol, Socket};
use netwhy_sys::netns::{Netns, NetnsRef, in_new_netns};
use netwhy_trace::{options, run, tools};

pub(crate) const CLIENT: &str = "198.51.100.1";
pub(crate) const SERVER: &str = "198.51.100.2";

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(15);

/// A client and a server with one cable between them.
pub(crate) struct Net {
    pub(crate) client: Netns,
    pub(crate) server: Netns,
}

fn empty() -> Netns {
    in_new_netns(|| {
        let mut socket = Socket::open(Protocol::Route).unwrap();
        RouteWriter::new(&mut socket).link_up("lo").unwrap();
        NetnsRef::Current.open().unwrap()
    })
    .unwrap()
}

fn addresses(host: u8) {
    let mut socket = Socket::open(Protocol::Route).unwrap();
    let mut writer = RouteWriter::new(&mut socket);
    writer.addr_add_flags("eth0", &format!("198.51.100.{host}/24"), 0).unwrap();
    writer.addr_add_flags("eth0", &format!("2001:db8:1::{host}/64"), netwhy_change::addr::NODAD).unwrap();
    writer.link_up("eth0").unwrap();
}

impl Net {
    pub(crate) fn new() -> Self {
        let (client, server) = (empty(), empty());
        client
            .run(|| {
                let mut socket = Socket::open(Protocol::Route).unwrap();
                RouteWriter::new(&mut socket).veth_add("eth0", "eth0", server.as_fd()).unwrap();
                addresses(1);
            })
            .unwrap();
        server.run(|| addresses(2)).unwrap();
        Net { client, server }
    }

    /// Runs in the client's namespace.
    pub(crate) fn at_client<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.client.run(work).unwrap()
    }

    /// Runs in the server's namespace.
    pub(crate) fn at_server<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.server.run(work).unwrap()
    }
}

/// The kernel, where tools can run. Says why not; where they should be able to, that is a failure.
pub(crate) fn kernel() -> Option<Kernel> {
    if !caps::effective().unwrap().has(Capability::SysAdmin) {
        println!("skipped: privilege: needs CAP_SYS_ADMIN");
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

/// Whether this kernel has an event; says so when it has not.
pub(crate) fn has_event(kernel: &Kernel, event: &str) -> bool {
    use netwhy_lang::types::Types;
    let has = kernel.raw_tracepoint(event).is_some();
    if !has {
        println!("skipped: event {event}: this kernel does not have it");
    }
    has
}

/// Whether an event of this kernel has an argument; says so when it has not.
pub(crate) fn has_argument(kernel: &Kernel, event: &str, argument: &str) -> bool {
    use netwhy_lang::types::Types;
    let has =
        kernel.raw_tracepoint(event).is_some_and(|s| s.params.iter().any(|param| param.name == argument));
    if !has {
        println!("skipped: argument {argument} of {event}: this kernel does not have it");
    }
    has
}

/// What a tool has written so far.
#[derive(Default)]
pub(crate) struct Seen(Mutex<Vec<u8>>);

impl Seen {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Whether there is a line with all these words, in this order.
    pub(crate) fn line(&self, words: &[&str]) -> Option<Vec<String>> {
        self.text().lines().find_map(|line| {
            let all: Vec<&str> = line.split_whitespace().collect();
            let mut rest = all.iter();
            words
                .iter()
                .all(|word| rest.any(|have| have == word))
                .then(|| all.iter().map(|word| (*word).to_owned()).collect())
        })
    }
}

impl Write for &Seen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs a tool; once it is attached, `work` makes what it should see; it ends when `enough` says that it has seen it,
/// or when patience ends, and then the test has failed: what was written comes back either way.
pub(crate) fn trace(
    kernel: &Kernel,
    name: &str,
    args: &[&str],
    work: impl FnOnce() + Send,
    enough: impl Fn(&Seen) -> bool + Send + Sync,
) -> Seen {
    let tool = tools::find(name).unwrap();
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let call = options::parse(&tool, &args).unwrap();
    let spec = run::compile(&tool, &call, kernel).unwrap_or_else(|error| panic!("{error}"));
    let seen = Seen::default();
    std::thread::scope(|scope| {
        let (seen, enough) = (&seen, &enough);
        let mut work = Some(work);
        let mut out = seen;
        let ready = || {
            let (end, keep) = std::io::pipe()?;
            let work = work.take();
            scope.spawn(move || {
                if let Some(work) = work {
                    work();
                }
                let begun = Instant::now();
                while !enough(seen) && begun.elapsed() < PATIENCE {
                    std::thread::sleep(Duration::from_millis(5));
                }
                drop(keep);
            });
            Ok(Some(end.into()))
        };
        run::run(&tool, &call, &spec, kernel, &mut out, ready).unwrap_or_else(|error| panic!("{error:?}"));
    });
    assert!(enough(&seen), "{name} {args:?} has not shown it:\n{}", seen.text());
    seen
}
