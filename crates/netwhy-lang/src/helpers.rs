//! Numbers of the kernel's helpers (`enum bpf_func_id`, linux/bpf.h).

macro_rules! helpers {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $text:literal;)*) => {
        $($(#[$doc])* pub const $name: i32 = $id;)*
        /// The name of a helper, for listings.
        pub fn name(id: i32) -> String {
            match id { $($id => format!("bpf_{}#{}", $text, $id),)* _ => format!("helper#{id}") }
        }
    };
}

helpers! {
    /// map, key -> pointer to value or 0
    MAP_LOOKUP = 1, "map_lookup_elem";
    /// map, key, value, flags
    MAP_UPDATE = 2, "map_update_elem";
    /// map, key
    MAP_DELETE = 3, "map_delete_elem";
    /// -> ns since boot, without suspend
    KTIME = 5, "ktime_get_ns";
    /// -> random u32
    PRANDOM = 7, "get_prandom_u32";
    /// -> CPU
    CPU = 8, "get_smp_processor_id";
    /// -> tgid << 32 | pid
    PID_TGID = 14, "get_current_pid_tgid";
    /// -> gid << 32 | uid
    UID_GID = 15, "get_current_uid_gid";
    /// buffer, size
    COMM = 16, "get_current_comm";
    /// ctx, map, flags -> id
    STACKID = 27, "get_stackid";
    /// -> struct task_struct *
    TASK = 35, "get_current_task";
    /// -> NUMA node
    NUMA = 42, "get_numa_node_id";
    /// socket -> cookie
    SOCKET_COOKIE = 46, "get_socket_cookie";
    /// ctx, buffer, size, flags
    GET_STACK = 67, "get_stack";
    /// -> cgroup id
    CGROUP_ID = 80, "get_current_cgroup_id";
    /// signal
    SEND_SIGNAL = 109, "send_signal";
    /// dst, size, user pointer
    READ_USER = 112, "probe_read_user";
    /// dst, size, kernel pointer
    READ_KERNEL = 113, "probe_read_kernel";
    /// dst, size, user pointer -> length with NUL
    READ_USER_STR = 114, "probe_read_user_str";
    /// dst, size, kernel pointer -> length with NUL
    READ_KERNEL_STR = 115, "probe_read_kernel_str";
    /// signal
    SEND_SIGNAL_THREAD = 117, "send_signal_thread";
    /// -> jiffies
    JIFFIES = 118, "jiffies64";
    /// dev, ino, struct bpf_pidns_info *, size
    NS_PID = 120, "get_ns_current_pid_tgid";
    /// -> ns since boot, with suspend
    KTIME_BOOT = 125, "ktime_get_boot_ns";
    /// ring, data, size, flags
    RING_OUTPUT = 130, "ringbuf_output";
    /// ring, size, flags -> pointer or 0
    RING_RESERVE = 131, "ringbuf_reserve";
    /// data, flags
    RING_SUBMIT = 132, "ringbuf_submit";
    /// data, flags
    RING_DISCARD = 133, "ringbuf_discard";
    /// -> struct task_struct * with BTF
    TASK_BTF = 158, "get_current_task_btf";
    /// map, callback, ctx, flags
    FOR_EACH = 164, "for_each_map_elem";
    /// ctx -> address of the probed function
    FUNC_IP = 173, "get_func_ip";
    /// ctx -> cookie
    COOKIE = 174, "get_attach_cookie";
    /// n, callback, ctx, flags
    LOOP = 181, "loop";
    /// map, key, cpu -> pointer to that CPU's value or 0
    PERCPU_LOOKUP = 195, "map_lookup_percpu_elem";
    /// -> ns, atomic time
    KTIME_TAI = 208, "ktime_get_tai_ns";
}
