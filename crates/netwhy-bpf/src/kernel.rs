//! One kernel as the compiler sees it: types from BTF, records from tracefs where it is mounted, symbols, probes.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;

use netwhy_lang::features::{Arch, Features};
use netwhy_lang::types::{Probes, RecordField, Signature, Tag, TypeDesc, TypeId, Types};
use netwhy_sys::procfs::Tree;

use crate::btf::{Btf, BtfError, Kind};
use crate::symbols::Symbols;
use crate::tracefs::Tracefs;
use crate::wildcard;

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
    btf: Btf,
    tracefs: Option<Tracefs>,
    symbols: Symbols,
    events: OnceCell<Vec<String>>,
    names: RefCell<HashMap<String, Option<u32>>>,
}

/// The largest description there may be: the largest kernels have 10 MB.
const BTF_LIMIT: usize = 256 << 20;

impl Kernel {
    /// Opens the running kernel's types.
    pub fn open() -> Result<Self, KernelError> {
        let bytes = Tree::sys().read_bytes("kernel/btf/vmlinux", BTF_LIMIT)?;
        Ok(Kernel {
            btf: Btf::new(bytes)?,
            tracefs: Tracefs::find(),
            symbols: Symbols::new(),
            events: OnceCell::new(),
            names: RefCell::default(),
        })
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
            attach_cookie: has("BPF_FUNC_get_attach_cookie"),
            func_ip: has("BPF_FUNC_get_func_ip"),
            tp_btf: has("BPF_TRACE_RAW_TP"),
            allow_unsafe,
        }
    }

    /// Everything that can be probed, as `provider:name`, with the pattern's provider only.
    #[must_use]
    pub fn list(&self, pattern: &str) -> Vec<String> {
        let (provider, rest) = pattern.split_once(':').unwrap_or((pattern, "*"));
        let providers = ["tracepoint", "rawtracepoint", "software", "iter", "kprobe", "fentry"];
        let provider = match provider {
            "t" => "tracepoint",
            "rt" => "rawtracepoint",
            "s" => "software",
            "it" => "iter",
            "k" => "kprobe",
            "f" | "kfunc" => "fentry",
            other => other,
        };
        let mut out = Vec::new();
        for known in providers.iter().filter(|known| wildcard::matches(provider, known)) {
            out.extend(self.matching(known, rest).into_iter().map(|name| format!("{known}:{name}")));
        }
        out
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
        self.btf.describe(id.0)
    }

    fn enumerator(&self, name: &str) -> Option<(i64, TypeId)> {
        self.btf.enumerator(name).map(|(value, id)| (value, TypeId(id)))
    }

    fn function(&self, module: Option<&str>, name: &str) -> Option<Signature> {
        // Types of modules have a description of their own, which is not read.
        if module.is_some_and(|module| module != "vmlinux") {
            return None;
        }
        self.btf.function(name)
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
pub(crate) const SOFTWARE: [(&str, u64); 13] = [
    ("alignment-faults", 7),
    ("bpf-output", 10),
    ("context-switches", 3),
    ("cpu", 0),
    ("cpu-clock", 0),
    ("cpu-migrations", 4),
    ("cs", 3),
    ("emulation-faults", 8),
    ("faults", 2),
    ("major-faults", 6),
    ("minor-faults", 5),
    ("page-faults", 2),
    ("task-clock", 1),
];

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
            "fentry" | "fexit" | "kprobe" | "kretprobe" => {
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
            _ => None,
        }
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
