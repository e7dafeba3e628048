//! What the target can do, found by trying and never by version; passed in so that output depends on nothing else.

/// Processor of the target: where arguments live in `pt_regs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arch {
    /// x86-64
    X86_64,
    /// arm64
    Aarch64,
}

/// What the running kernel offers to a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features {
    /// Processor.
    pub arch: Arch,
    /// `bpf_loop` (5.17): loops of any length.
    pub bpf_loop: bool,
    /// `bpf_for_each_map_elem` (5.13): `for ($kv : @map)`.
    pub for_each_map_elem: bool,
    /// `bpf_get_current_task_btf` (5.11): direct loads through `curtask`.
    pub current_task_btf: bool,
    /// `bpf_ktime_get_tai_ns` (6.1).
    pub ktime_tai: bool,
    /// `bpf_get_attach_cookie` (5.15).
    pub attach_cookie: bool,
    /// `bpf_get_func_ip` (5.15).
    pub func_ip: bool,
    /// `bpf_map_lookup_percpu_elem` (5.19): reading aggregations in the kernel.
    pub percpu_lookup: bool,
    /// Processors there may ever be; aggregations have a part for each.
    pub cpus: u32,
    /// Keys of maps may be longer than the stack (5.11).
    pub long_keys: bool,
    /// BTF tracepoints (`tp_btf`) can be loaded.
    pub tp_btf: bool,
    /// Whether `system`, `override`, `signal` and the like are allowed (`--unsafe`).
    pub allow_unsafe: bool,
}

impl Features {
    /// A 6.1 or later kernel on x86-64.
    pub fn modern() -> Self {
        Self {
            arch: Arch::X86_64,
            bpf_loop: true,
            for_each_map_elem: true,
            current_task_btf: true,
            ktime_tai: true,
            long_keys: true,
            attach_cookie: true,
            func_ip: true,
            percpu_lookup: true,
            cpus: 2,
            tp_btf: true,
            allow_unsafe: false,
        }
    }

    /// A 5.10 kernel on x86-64: the floor of the shipped tools.
    pub fn floor() -> Self {
        Self {
            bpf_loop: false,
            for_each_map_elem: false,
            current_task_btf: false,
            ktime_tai: false,
            long_keys: false,
            attach_cookie: false,
            func_ip: false,
            percpu_lookup: false,
            ..Self::modern()
        }
    }
}
