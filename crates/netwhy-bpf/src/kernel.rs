//! One kernel as the compiler sees it: types from BTF, records from tracefs where it is mounted, symbols, probes.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::rc::Rc;

use netwhy_lang::features::{Arch, Features};
use netwhy_lang::program::Attach;
use netwhy_lang::types::{Instead, Probes, RecordField, Signature, Tag, TypeDesc, TypeId, Types};
use netwhy_sys::procfs::Tree;

use crate::btf::{Btf, BtfError, Kind};
use crate::elf::Elf;
use crate::probing::Probing;
use crate::symbols::Symbols;
use crate::tracefs::Tracefs;
use crate::users::Users;
use crate::wildcard;
use crate::{ladder, libraries};

/// Why the kernel's types cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The file is not there or may not be read.
    #[error("no types of this kernel (CONFIG_DEBUG_INFO_BTF): {0}")]
    Read(#[from] netwhy_sys::SysError),
    /// The file is not what it should be.
    #[error("/sys/kernel/btf/vmlinux: {0}")]
    Parse(#[from] BtfError),
}

/// The running kernel.
#[derive(Debug)]
pub struct Kernel {
    btf: Rc<Btf>,
    modules: RefCell<Vec<(String, Rc<Btf>)>>,
    tracefs: Option<Tracefs>,
    symbols: Symbols,
    events: OnceCell<Vec<String>>,
    users: Users,
    probing: Probing,
    /// The process the run is about.
    target: Cell<Option<u32>>,
    notes: RefCell<Vec<String>>,
    files: RefCell<HashMap<String, Rc<Opened>>>,
    names: RefCell<HashMap<String, Option<u32>>>,
}

/// A program or library.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) elf: Elf,
    /// Address and size of each function.
    pub(crate) functions: BTreeMap<String, (u64, u64)>,
}

/// The largest description there may be: the largest kernels have 10 MB.
const BTF_LIMIT: usize = 256 << 20;

impl Kernel {
    /// Opens the running kernel's types.
    pub fn open() -> Result<Self, KernelError> {
        let bytes = Tree::sys().read_bytes("kernel/btf/vmlinux", BTF_LIMIT)?;
        Ok(Kernel {
            btf: Rc::new(Btf::new(bytes)?),
            modules: RefCell::default(),
            tracefs: Tracefs::find(),
            symbols: Symbols::new(),
            events: OnceCell::new(),
            users: Users::new(),
            probing: Probing::default(),
            target: Cell::new(None),
            notes: RefCell::default(),
            files: RefCell::default(),
            names: RefCell::default(),
        })
    }

    /// Names of user addresses.
    #[must_use]
    pub fn users(&self) -> &Users {
        &self.users
    }

    /// What it attaches.
    #[must_use]
    pub fn probing(&self) -> &Probing {
        &self.probing
    }

    /// The process the run is about: user probes, counters and watched addresses are its alone.
    #[must_use]
    pub fn target(&self) -> Option<u32> {
        self.target.get()
    }

    /// Sets the process the run is about.
    pub fn set_target(&self, pid: Option<u32>) {
        self.target.set(pid);
    }

    /// Keeps something the user should know, once.
    pub(crate) fn note(&self, text: String) {
        let mut notes = self.notes.borrow_mut();
        if !notes.contains(&text) {
            notes.push(text);
        }
    }

    /// What there is to say so far: rungs taken, names changed by the compiler, probes left out.
    #[must_use]
    pub fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut self.notes.borrow_mut())
    }

    /// A program or library, read once.
    pub(crate) fn file(&self, path: &str) -> Result<Rc<Opened>, String> {
        if let Some(found) = self.files.borrow().get(path) {
            return Ok(Rc::clone(found));
        }
        let elf = Elf::open(Path::new(path)).map_err(|error| error.to_string())?;
        let symbols = elf.symbols().into_iter().filter(|symbol| symbol.function);
        let functions = symbols.map(|symbol| (symbol.name, (symbol.address, symbol.size))).collect();
        let made = Rc::new(Opened { elf, functions });
        self.files.borrow_mut().insert(path.to_owned(), Rc::clone(&made));
        Ok(made)
    }

    /// Its types.
    #[must_use]
    pub fn btf(&self) -> &Btf {
        &self.btf
    }

    /// Its tracefs, when mounted.
    #[must_use]
    pub fn tracefs(&self) -> Option<&Tracefs> {
        self.tracefs.as_ref()
    }

    /// Its symbols.
    #[must_use]
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// Events with a BTF tracepoint, sorted.
    pub fn events(&self) -> &[String] {
        self.events.get_or_init(|| {
            let mut all: Vec<String> = self.btf.tracepoints().into_keys().collect();
            all.sort();
            all
        })
    }

    fn named(&self, kind: Kind, name: &str) -> Option<u32> {
        let key = format!("{kind:?} {name}");
        if let Some(found) = self.names.borrow().get(&key) {
            return *found;
        }
        let found = self.btf.find(&[kind], name);
        self.names.borrow_mut().insert(key, found);
        found
    }

    /// What programs may use, found in the types of this very kernel: a helper is there when its number is in
    /// `enum bpf_func_id`.
    #[must_use]
    pub fn features(&self, allow_unsafe: bool) -> Features {
        let has = |helper: &str| self.btf.enumerator(helper).is_some();
        let arch = if cfg!(target_arch = "aarch64") { Arch::Aarch64 } else { Arch::X86_64 };
        Features {
            arch,
            bpf_loop: has("BPF_FUNC_loop"),
            for_each_map_elem: has("BPF_FUNC_for_each_map_elem"),
            current_task_btf: has("BPF_FUNC_get_current_task_btf"),
            ktime_tai: has("BPF_FUNC_ktime_get_tai_ns"),
            long_keys: self.probing.long_keys().yes(),
            attach_cookie: has("BPF_FUNC_get_attach_cookie"),
            func_ip: has("BPF_FUNC_get_func_ip"),
            percpu_lookup: has("BPF_FUNC_map_lookup_percpu_elem"),
            cpus: netwhy_sys::bpf::possible_cpus().map_or(1, |n| u32::try_from(n).unwrap_or(1)),
            tp_btf: has("BPF_TRACE_RAW_TP"),
            allow_unsafe,
        }
    }

    /// A module's types, and its place among those that were looked at.
    pub(crate) fn module(&self, name: &str) -> Option<(usize, Rc<Btf>)> {
        if let Some(at) = self.modules.borrow().iter().position(|(known, _)| known == name) {
            return self.modules.borrow().get(at).map(|(_, btf)| (at, Rc::clone(btf)));
        }
        let bytes = Tree::sys().read_bytes(format!("kernel/btf/{name}"), BTF_LIMIT).ok()?;
        let made = Rc::new(Btf::of_module(bytes, Rc::clone(&self.btf)).ok()?);
        let mut modules = self.modules.borrow_mut();
        modules.push((name.to_owned(), Rc::clone(&made)));
        Some((modules.len() - 1, made))
    }

    /// Types of modules have the module's place in the upper byte of their number, counted from 1.
    fn global(&self, module: usize, id: TypeId) -> TypeId {
        let place = u32::try_from(module + 1).unwrap_or(u32::MAX);
        if id.0 >= self.btf.len() && place < 256 { TypeId(place << 24 | id.0) } else { id }
    }

    /// Modules with types of their own, by name.
    #[must_use]
    pub fn modules(&self) -> Vec<String> {
        let mut all = Tree::sys().list("kernel/btf").unwrap_or_default();
        all.retain(|name| name != "vmlinux");
        all.sort();
        all
    }
}

impl Types for Kernel {
    fn find(&self, tag: Tag, name: &str) -> Option<TypeId> {
        let found = match tag {
            Tag::Struct => self.named(Kind::Struct, name),
            Tag::Union => self.named(Kind::Union, name),
            Tag::Enum => self.named(Kind::Enum, name).or_else(|| self.named(Kind::Enum64, name)),
            Tag::Typedef => self.named(Kind::Typedef, name),
        };
        found.map(TypeId)
    }

    fn describe(&self, id: TypeId) -> Option<TypeDesc> {
        let Some(module) = (id.0 >> 24).checked_sub(1) else { return self.btf.describe(id.0) };
        let module = module as usize;
        let btf = self.modules.borrow().get(module).map(|(_, btf)| Rc::clone(btf))?;
        let global = |id| self.global(module, id);
        Some(match btf.describe(id.0 & 0xff_ffff)? {
            TypeDesc::Ptr(to) => TypeDesc::Ptr(global(to)),
            TypeDesc::Array { elem, len } => TypeDesc::Array { elem: global(elem), len },
            TypeDesc::Struct { name, size, union, mut members } => {
                members.iter_mut().for_each(|member| member.ty = global(member.ty));
                TypeDesc::Struct { name, size, union, members }
            }
            other => other,
        })
    }

    fn enumerator(&self, name: &str) -> Option<(i64, TypeId)> {
        self.btf.enumerator(name).map(|(value, id)| (value, TypeId(id)))
    }

    fn function(&self, module: Option<&str>, name: &str) -> Option<Signature> {
        let Some(module) = module.filter(|module| *module != "vmlinux") else {
            return self.btf.function(name);
        };
        let (at, btf) = self.module(module)?;
        let mut signature = btf.function(name)?;
        signature.params.iter_mut().for_each(|param| param.ty = self.global(at, param.ty));
        signature.ret = signature.ret.map(|ret| self.global(at, ret));
        Some(signature)
    }

    fn raw_tracepoint(&self, name: &str) -> Option<Signature> {
        self.btf.raw_tracepoint(name).map(|(signature, _)| signature)
    }

    fn tracepoint(&self, category: &str, event: &str) -> Option<Vec<RecordField>> {
        self.tracefs.as_ref()?.format(category, event)
    }

    fn symbol(&self, name: &str) -> Option<u64> {
        self.symbols.address(name)
    }

    fn similar(&self, tag: Tag, name: &str) -> Vec<String> {
        let kinds: &[Kind] = match tag {
            Tag::Struct => &[Kind::Struct],
            Tag::Union => &[Kind::Union],
            Tag::Enum => &[Kind::Enum, Kind::Enum64],
            Tag::Typedef => &[Kind::Typedef],
        };
        let names: Vec<String> =
            self.btf.named(kinds).map(|(_, name)| String::from_utf8_lossy(name).into_owned()).collect();
        wildcard::nearest(name, names.iter().map(String::as_str)).map(str::to_owned).into_iter().collect()
    }
}

/// Software events of perf (`PERF_COUNT_SW_*`) and their numbers.
pub(crate) const SOFTWARE: [(&str, u64); 14] = [
    ("alignment-faults", 7),
    ("bpf-output", 10),
    ("context-switches", 3),
    ("cpu", 0),
    ("cpu-clock", 0),
    ("cpu-migrations", 4),
    ("cs", 3),
    ("dummy", 9),
    ("emulation-faults", 8),
    ("faults", 2),
    ("major-faults", 6),
    ("minor-faults", 5),
    ("page-faults", 2),
    ("task-clock", 1),
];

/// Counters of the processor (`PERF_COUNT_HW_*`) and their numbers.
pub(crate) const HARDWARE: [(&str, u64); 12] = [
    ("backend-stalls", 8),
    ("branch-instructions", 4),
    ("branch-misses", 5),
    ("branches", 4),
    ("bus-cycles", 6),
    ("cache-misses", 3),
    ("cache-references", 2),
    ("cpu-cycles", 0),
    ("cycles", 0),
    ("frontend-stalls", 7),
    ("instructions", 1),
    ("ref-cycles", 9),
];

/// Every probe of user programs: provider, files, and the rest of the pattern.
fn user_parts(pattern: &str) -> (&str, &str) {
    pattern.split_once(':').unwrap_or((pattern, "*"))
}

impl Kernel {
    /// Functions of the files a pattern `PATH:NAME` names, as `PATH:NAME`.
    fn user_functions(&self, pattern: &str) -> Vec<String> {
        let (path, names) = user_parts(pattern);
        let mut out = Vec::new();
        for file in libraries::files(path, self.target()) {
            let Ok(opened) = self.file(&file) else { continue };
            let fits = opened.functions.keys().filter(|name| wildcard::matches(names, name));
            out.extend(fits.map(|name| format!("{file}:{name}")));
        }
        out
    }

    /// Statically defined probes of the files a pattern `PATH:PROVIDER:NAME` or `PATH:NAME` names.
    fn user_sites(&self, pattern: &str) -> Vec<Attach> {
        let (path, rest) = user_parts(pattern);
        let path = if path.is_empty() { "*" } else { path };
        let (provider, name) = match rest.split_once(':') {
            Some((provider, name)) if !provider.is_empty() => (provider, name),
            Some((_, name)) => ("*", name),
            None => ("*", rest),
        };
        let mut out = Vec::new();
        for file in libraries::files(path, self.target()) {
            let Ok(opened) = self.file(&file) else { continue };
            for site in opened.elf.sites() {
                if wildcard::matches(provider, &site.provider) && wildcard::matches(name, &site.name) {
                    out.push(Attach::Usdt {
                        path: file.clone(),
                        provider: site.provider,
                        name: site.name,
                        offset: site.offset,
                        semaphore: site.semaphore,
                        args: site.args,
                    });
                }
            }
        }
        out
    }

    /// Functions in the types of modules, as `MODULE:NAME`.
    fn module_functions(&self, module: &str, pattern: &str) -> Vec<String> {
        let mut names = Vec::new();
        for module in self.modules().iter().filter(|known| wildcard::matches(module, known)) {
            let Some((_, btf)) = self.module(module) else { continue };
            let all = btf.named(&[Kind::Func]).filter_map(|(_, name)| std::str::from_utf8(name).ok());
            names.extend(
                all.filter(|name| wildcard::matches(pattern, name)).map(|name| format!("{module}:{name}")),
            );
        }
        names.sort();
        names.dedup();
        names
    }

    /// Functions of the kernel that can be probed: what its tracer says, else its symbols.
    fn kernel_functions(&self, pattern: &str) -> Vec<String> {
        let (module, pattern) = match pattern.split_once(':') {
            Some((module, pattern)) => (Some(module), pattern),
            None => (None, pattern),
        };
        let mut names: Vec<String> = match self.tracefs.as_ref().and_then(Tracefs::functions) {
            Some(text) => text
                .lines()
                .filter(|line| {
                    let mut words = line.split_whitespace();
                    let name = words.next().unwrap_or_default();
                    let home = words.next().map_or("vmlinux", |m| m.trim_matches(['[', ']']));
                    wildcard::matches(pattern, name) && module.is_none_or(|m| wildcard::matches(m, home))
                })
                .filter_map(|line| line.split_whitespace().next())
                .map(str::to_owned)
                .collect(),
            None => self
                .symbols
                .functions()
                .filter(|name| wildcard::matches(pattern, name))
                .map(str::to_owned)
                .collect(),
        };
        names.sort();
        names.dedup();
        names
    }
}

impl Probes for Kernel {
    fn matching(&self, provider: &str, pattern: &str) -> Vec<String> {
        let keep = |names: Vec<String>| -> Vec<String> {
            names.into_iter().filter(|name| wildcard::matches(pattern, name)).collect()
        };
        match provider {
            "tracepoint" => keep(self.tracefs.as_ref().map(Tracefs::events).unwrap_or_default()),
            "rawtracepoint" => {
                let pattern = pattern.strip_prefix("vmlinux:").unwrap_or(pattern);
                self.events().iter().filter(|name| wildcard::matches(pattern, name)).cloned().collect()
            }
            "software" => keep(SOFTWARE.iter().map(|(name, _)| format!("{name}:")).collect()),
            "iter" => {
                let mut names: Vec<String> = self
                    .btf
                    .named(&[Kind::Func])
                    .filter_map(|(_, name)| std::str::from_utf8(name.strip_prefix(b"bpf_iter_")?).ok())
                    .map(str::to_owned)
                    .collect();
                // Helpers of loops share the prefix, but have no target.
                names.retain(|name| self.btf.find(&[Kind::Struct], &format!("bpf_iter__{name}")).is_some());
                names.sort();
                keep(names)
            }
            "hardware" => keep(HARDWARE.iter().map(|(name, _)| format!("{name}:")).collect()),
            "uprobe" | "uretprobe" => self.user_functions(pattern),
            "usdt" => {
                let mut names: Vec<String> = self
                    .user_sites(pattern)
                    .iter()
                    .map(|site| crate::attach::show(site).trim_start_matches("usdt:").to_owned())
                    .collect();
                names.sort();
                names.dedup();
                names
            }
            "kprobe" | "kretprobe" => self.kernel_functions(pattern),
            "fentry" | "fexit" => {
                let (module, pattern) = match pattern.split_once(':') {
                    Some((module, pattern)) => (Some(module), pattern),
                    None => (None, pattern),
                };
                if let Some(module) = module.filter(|module| !wildcard::matches(module, "vmlinux")) {
                    return self.module_functions(module, pattern);
                }
                let mut names: Vec<String> = self
                    .btf
                    .named(&[Kind::Func])
                    .filter_map(|(_, name)| std::str::from_utf8(name).ok())
                    .filter(|name| wildcard::matches(pattern, name))
                    .map(str::to_owned)
                    .collect();
                names.sort();
                names.dedup();
                names
            }
            _ => Vec::new(),
        }
    }

    fn exists(&self, provider: &str, name: &str) -> Option<bool> {
        match provider {
            "tracepoint" => {
                let (category, event) = name.split_once(':')?;
                Some(self.tracefs.as_ref()?.exists(category, event))
            }
            "rawtracepoint" => {
                let event = name.rsplit(':').next().unwrap_or(name);
                Some(self.named(Kind::Typedef, &format!("btf_trace_{event}")).is_some())
            }
            "uprobe" | "uretprobe" => {
                let (path, symbol) = user_parts(name);
                let symbol = symbol.split('+').next().unwrap_or_default();
                if symbol.starts_with(|c: char| c.is_ascii_digit()) {
                    return None;
                }
                let opened = libraries::files(path, self.target()).into_iter().map(|file| self.file(&file));
                Some(opened.flatten().any(|opened| opened.functions.contains_key(symbol)))
            }
            "kprobe" | "kretprobe" if self.probing.kprobe().yes() => {
                let function = name.rsplit(':').next().unwrap_or(name).split('+').next().unwrap_or_default();
                Some(self.symbols.address(function).is_some() || !self.symbols.variants(function).is_empty())
            }
            "fentry" | "fexit" => Some(match name.split_once(':') {
                Some((module, name)) if module != "vmlinux" => {
                    self.module(module).is_some_and(|(_, btf)| btf.find(&[Kind::Func], name).is_some())
                }
                Some((_, name)) => self.btf.find(&[Kind::Func], name).is_some(),
                None => {
                    self.btf.find(&[Kind::Func], name).is_some() || self.symbols.module_of(name).is_some()
                }
            }),
            _ => None,
        }
    }

    fn resolve(&self, provider: &str, name: &str) -> Option<String> {
        if matches!(provider, "fentry" | "fexit") {
            let own = name.contains(':') || self.btf.find(&[Kind::Func], name).is_some();
            return if own {
                None
            } else {
                self.symbols.module_of(name).map(|module| format!("{module}:{name}"))
            };
        }
        let (path, symbol) = user_parts(name);
        let file = libraries::files(path, self.target()).into_iter().next()?;
        Some(format!("{file}:{symbol}"))
    }

    fn usdt(&self, pattern: &str) -> Option<Vec<Attach>> {
        Some(self.user_sites(pattern))
    }

    fn instead(&self, provider: &str, name: &str) -> Option<Instead> {
        ladder::instead(provider, name, self)
    }

    fn similar(&self, provider: &str, name: &str) -> Vec<String> {
        let known = match provider {
            "tracepoint" => self.tracefs.as_ref().map(Tracefs::events).unwrap_or_default(),
            "rawtracepoint" => self.events().to_vec(),
            _ => Vec::new(),
        };
        wildcard::nearest(name, known.iter().map(String::as_str)).map(str::to_owned).into_iter().collect()
    }
}
