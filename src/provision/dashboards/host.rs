//! Host: what the kernel tells, in the manner of Node Exporter Full. It fits node_exporter too, since names and labels are the same.

use super::model::{
    BYTES, BYTES_RATE, CELSIUS, COUNT, Dashboard, PACKETS, Panel, RATE, RATIO, Row, SECONDS, bars, lines,
    name, stacked, stat,
};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        name: "host",
        title: "gaugecast: host",
        description: "A host as gaugecast or node_exporter sees it. The live page is gaugecast's own.",
        family: "node_uname_info",
        labels: &[],
        rows: vec![
            glance(),
            Row::new("Processor", processor()),
            Row::new("Memory", memory()),
            Row::new("Filesystems", filesystems()),
            Row::new("Disks", disks()),
            Row::new("Network", network()),
            Row::closed("Pages and swap", paging()),
            Row::closed("Memory in detail", memory_in_detail()),
            Row::closed("TCP, UDP and sockets", protocols()),
            Row::closed("Network in detail", network_in_detail()),
            Row::closed("Kernel", kernel()),
            Row::closed("Hardware", hardware()),
            Row::closed("Control group", control_group()),
            Row::closed("Collectors", collectors()),
        ],
    }
}

fn glance() -> Row {
    Row::by_instance(vec![
        stat("CPU busy", RATIO, "Share of all cores that was not idle and not waiting for a disk.")
            .query(
                "1 - avg by (instance) (sum without (mode) \
                 (rate(node_cpu_seconds_total{@,mode=~\"idle|iowait\"}[@])))",
                "busy",
            )
            .above(0.75, 0.9)
            .to(1.0),
        stat("Load a core", COUNT, "Processes that run or wait, on average of a minute, for each core.")
            .query(
                "node_load1{@} / count without (cpu, mode) (node_cpu_seconds_total{@,mode=\"idle\"})",
                "load",
            )
            .above(1.0, 2.0),
        stat("Memory used", RATIO, "Share of the memory that is not available to programs without swapping.")
            .query("1 - node_memory_MemAvailable_bytes{@} / node_memory_MemTotal_bytes{@}", "used")
            .above(0.8, 0.9)
            .to(1.0),
        stat("Swap used", RATIO, "Share of the swap space in use; 0 where there is none.")
            .query(
                "(node_memory_SwapTotal_bytes{@} - node_memory_SwapFree_bytes{@}) \
                 / clamp_min(node_memory_SwapTotal_bytes{@}, 1)",
                "used",
            )
            .above(0.25, 0.75)
            .to(1.0),
        stat(
            "Fullest filesystem",
            RATIO,
            "Share of the space that programs cannot use any more, where it is largest.",
        )
        .query(
            "max by (instance) (1 - node_filesystem_avail_bytes{@,fstype!~\"tmpfs|ramfs|squashfs|iso9660\"} \
                 / node_filesystem_size_bytes{@})",
            "used",
        )
        .above(0.8, 0.9)
        .to(1.0),
        stat(
            "Busiest disk",
            RATIO,
            "Share of the time in which the disk had something to do, where it is largest.",
        )
        .query("max by (instance) (rate(node_disk_io_time_seconds_total{@}[@]))", "busy")
        .above(0.8, 0.95)
        .to(1.0),
        stat("Cores", COUNT, "Processors that the kernel uses.")
            .query("count by (instance) (node_cpu_seconds_total{@,mode=\"idle\"})", "cores"),
        stat("Up for", SECONDS, "Since the host was started.")
            .query("time() - node_boot_time_seconds{@}", "up"),
        lines("CPU by mode", RATIO, "Share of all cores in each mode but idle.")
            .query(
                "sum by (instance, mode) (rate(node_cpu_seconds_total{@,mode!=\"idle\"}[@])) / on (instance) \
                 group_left () count by (instance) (node_cpu_seconds_total{@,mode=\"idle\"})",
                "{{mode}}",
            )
            .wide(6),
        used_by_kind().wide(6),
        lines("Network", BYTES_RATE, "Traffic of all interfaces but the loopback; sent is below zero.")
            .query(
                "sum by (instance) (rate(node_network_receive_bytes_total{@,device!=\"lo\"}[@]))",
                "received",
            )
            .query(
                "-sum by (instance) (rate(node_network_transmit_bytes_total{@,device!=\"lo\"}[@]))",
                "sent",
            )
            .signed()
            .wide(6),
        lines("Disks", BYTES_RATE, "What all disks read and write; written is below zero.")
            .query("sum by (instance) (rate(node_disk_read_bytes_total{@}[@]))", "read")
            .query("-sum by (instance) (rate(node_disk_written_bytes_total{@}[@]))", "written")
            .signed()
            .wide(6),
    ])
}

fn used_by_kind() -> Panel {
    stacked("Memory by use", BYTES, "What the memory holds; together it is all there is.")
        .query(
            "node_memory_MemTotal_bytes{@} - node_memory_MemFree_bytes{@} - node_memory_Buffers_bytes{@} \
             - node_memory_Cached_bytes{@} - node_memory_SReclaimable_bytes{@}",
            "programs and kernel",
        )
        .query("node_memory_Cached_bytes{@} + node_memory_SReclaimable_bytes{@}", "cache")
        .query("node_memory_Buffers_bytes{@}", "buffers")
        .query("node_memory_MemFree_bytes{@}", "free")
}

fn processor() -> Vec<Panel> {
    vec![
        lines("Busy by core", RATIO, "Share of the time in which each core had something to do.")
            .query(
                "1 - sum without (mode) (rate(node_cpu_seconds_total{@,mode=~\"idle|iowait\"}[@]))",
                "{{cpu}} · {{instance}}",
            )
            .to(1.0),
        lines("Load", COUNT, "Processes that run or wait for a processor or a disk.")
            .query("node_load1{@}", "1 min · {{instance}}")
            .query("node_load5{@}", "5 min · {{instance}}")
            .query("node_load15{@}", "15 min · {{instance}}"),
        lines(
            "Pressure",
            RATIO,
            "Share of the time in which some task waited for a processor, memory or a disk.",
        )
        .query("rate(node_pressure_cpu_waiting_seconds_total{@}[@])", "processor · {{instance}}")
        .query("rate(node_pressure_memory_waiting_seconds_total{@}[@])", "memory · {{instance}}")
        .query("rate(node_pressure_io_waiting_seconds_total{@}[@])", "disks · {{instance}}")
        .above(0.25, 0.5),
        lines("Stalled", RATIO, "Share of the time in which all tasks waited for memory or a disk at once.")
            .query("rate(node_pressure_memory_stalled_seconds_total{@}[@])", "memory · {{instance}}")
            .query("rate(node_pressure_io_stalled_seconds_total{@}[@])", "disks · {{instance}}")
            .above(0.1, 0.25),
        lines(
            "Processes",
            COUNT,
            "Processes that run, and those that wait for a disk and cannot be interrupted.",
        )
        .query("node_procs_running{@}", "running · {{instance}}")
        .query("node_procs_blocked{@}", "blocked · {{instance}}"),
        lines(
            "Switches, interrupts and forks",
            RATE,
            "How often the kernel switched tasks, was interrupted, made a process.",
        )
        .query("rate(node_context_switches_total{@}[@])", "switches · {{instance}}")
        .query("rate(node_intr_total{@}[@])", "interrupts · {{instance}}")
        .query("rate(node_forks_total{@}[@])", "forks · {{instance}}"),
    ]
}

fn memory() -> Vec<Panel> {
    vec![
        lines("Available", BYTES, "What programs could still take without swapping.")
            .query("node_memory_MemAvailable_bytes{@}", "{{instance}}"),
        lines("Active and inactive", BYTES, "Pages used lately, and those that are given up first.")
            .query("node_memory_Active_bytes{@}", "active · {{instance}}")
            .query("node_memory_Inactive_bytes{@}", "inactive · {{instance}}"),
        lines("Swap", BYTES, "Swap space in use and in all.")
            .query("node_memory_SwapTotal_bytes{@} - node_memory_SwapFree_bytes{@}", "used · {{instance}}")
            .query("node_memory_SwapTotal_bytes{@}", "in all · {{instance}}"),
        lines(
            "Promised",
            BYTES,
            "Memory that programs have asked for, and what the kernel would promise at most.",
        )
        .query("node_memory_Committed_AS_bytes{@}", "promised · {{instance}}")
        .query("node_memory_CommitLimit_bytes{@}", "at most · {{instance}}"),
        lines("To be written", BYTES, "Changed pages that wait for a disk, and those on their way.")
            .query("node_memory_Dirty_bytes{@}", "waiting · {{instance}}")
            .query("node_memory_Writeback_bytes{@}", "under way · {{instance}}"),
        lines("Killed for want of memory", RATE, "Processes that the kernel killed because memory ran out.")
            .query("rate(node_vmstat_oom_kill{@}[@])", "{{instance}}"),
    ]
}

fn filesystems() -> Vec<Panel> {
    vec![
        bars("Space used", RATIO, "Share of each filesystem that programs cannot use any more.")
            .query(
                "1 - node_filesystem_avail_bytes{@,fstype!~\"tmpfs|ramfs|squashfs|iso9660\"} \
                 / node_filesystem_size_bytes{@}",
                "{{mountpoint}} · {{instance}}",
            )
            .above(0.8, 0.9)
            .to(1.0),
        lines("Space left", BYTES, "What programs can still write.")
            .query("node_filesystem_avail_bytes{@}", "{{mountpoint}} · {{instance}}"),
        lines(
            "Space left in a day",
            BYTES,
            "If it goes on as in the last hour; below zero it will be full by then.",
        )
        .query("predict_linear(node_filesystem_avail_bytes{@}[1h], 86400)", "{{mountpoint}} · {{instance}}")
        .signed(),
        lines(
            "Inodes used",
            RATIO,
            "Share of the files that a filesystem can have; those without such a limit are left out.",
        )
        .query(
            "1 - node_filesystem_files_free{@} / (node_filesystem_files{@} > 0)",
            "{{mountpoint}} · {{instance}}",
        )
        .above(0.8, 0.9),
        lines("Read-only", COUNT, "1 where nothing can be written, as after an error of the disk.")
            .query("node_filesystem_readonly{@}", "{{mountpoint}} · {{instance}}"),
        lines("Errors", COUNT, "1 where the size could not be read.")
            .query("node_filesystem_device_error{@}", "{{mountpoint}} · {{instance}}"),
    ]
}

fn disks() -> Vec<Panel> {
    vec![
        lines("Read and written", BYTES_RATE, "By disk; written is below zero.")
            .query("rate(node_disk_read_bytes_total{@}[@])", "read {{device}} · {{instance}}")
            .query("-rate(node_disk_written_bytes_total{@}[@])", "written {{device}} · {{instance}}")
            .signed(),
        lines("Requests", "iops", "Finished reads and writes; writes are below zero.")
            .query("rate(node_disk_reads_completed_total{@}[@])", "reads {{device}} · {{instance}}")
            .query("-rate(node_disk_writes_completed_total{@}[@])", "writes {{device}} · {{instance}}")
            .signed(),
        lines("Busy", RATIO, "Share of the time in which a disk had something to do.")
            .query("rate(node_disk_io_time_seconds_total{@}[@])", "{{device}} · {{instance}}")
            .above(0.8, 0.95),
        lines(
            "Time of a request",
            SECONDS,
            "From its begin to its end, on average; nothing where there was none.",
        )
        .query(
            "rate(node_disk_read_time_seconds_total{@}[@]) / rate(node_disk_reads_completed_total{@}[@])",
            "reads {{device}} · {{instance}}",
        )
        .query(
            "rate(node_disk_write_time_seconds_total{@}[@]) / rate(node_disk_writes_completed_total{@}[@])",
            "writes {{device}} · {{instance}}",
        ),
        lines("Queue", COUNT, "Requests that wait or are under way, on average.")
            .query("rate(node_disk_io_time_weighted_seconds_total{@}[@])", "{{device}} · {{instance}}"),
        lines("Under way", COUNT, "Requests at this moment.")
            .query("node_disk_io_now{@}", "{{device}} · {{instance}}"),
        lines("Merged", "iops", "Requests that were joined with others before they went to the disk.")
            .query("rate(node_disk_reads_merged_total{@}[@])", "reads {{device}} · {{instance}}")
            .query("rate(node_disk_writes_merged_total{@}[@])", "writes {{device}} · {{instance}}")
            .wide(12),
        lines("Discards and flushes", "iops", "Blocks given back, and caches of disks written out.")
            .query("rate(node_disk_discards_completed_total{@}[@])", "discards {{device}} · {{instance}}")
            .query("rate(node_disk_flush_requests_total{@}[@])", "flushes {{device}} · {{instance}}")
            .wide(12),
    ]
}

fn network() -> Vec<Panel> {
    vec![
        lines("Traffic", BYTES_RATE, "By interface; sent is below zero.")
            .query("rate(node_network_receive_bytes_total{@}[@])", "received {{device}} · {{instance}}")
            .query("-rate(node_network_transmit_bytes_total{@}[@])", "sent {{device}} · {{instance}}")
            .signed(),
        lines("Packets", PACKETS, "By interface; sent is below zero.")
            .query("rate(node_network_receive_packets_total{@}[@])", "received {{device}} · {{instance}}")
            .query("-rate(node_network_transmit_packets_total{@}[@])", "sent {{device}} · {{instance}}")
            .signed(),
        lines(
            "Share of the link",
            RATIO,
            "The busier direction beside the speed of the link, where that is known.",
        )
        .query(
            "(rate(node_network_receive_bytes_total{@}[@]) > rate(node_network_transmit_bytes_total{@}[@]) \
                 or rate(node_network_transmit_bytes_total{@}[@])) / (node_network_speed_bytes{@} > 0)",
            "{{device}} · {{instance}}",
        )
        .above(0.7, 0.9),
        lines("Errors", PACKETS, "Packets with errors, both directions.").query(
            "rate(node_network_receive_errs_total{@}[@]) + rate(node_network_transmit_errs_total{@}[@])",
            "{{device}} · {{instance}}",
        ),
        lines("Drops", PACKETS, "Packets that were thrown away, both directions.").query(
            "rate(node_network_receive_drop_total{@}[@]) + rate(node_network_transmit_drop_total{@}[@])",
            "{{device}} · {{instance}}",
        ),
        lines("Tracked connections", RATIO, "Share of the table of tracked connections that is taken.")
            .query("node_nf_conntrack_entries{@} / node_nf_conntrack_entries_limit{@}", "{{instance}}")
            .above(0.75, 0.9),
    ]
}

fn paging() -> Vec<Panel> {
    vec![
        lines("Page faults", RATE, "Pages that were not there; major ones had to be read from a disk.")
            .query("rate(node_vmstat_pgfault{@}[@])", "all · {{instance}}")
            .query("rate(node_vmstat_pgmajfault{@}[@])", "major · {{instance}}"),
        lines(
            "Pages in and out",
            "KBs",
            "What the kernel reads from and writes to disks; out is below zero.",
        )
        .query("rate(node_vmstat_pgpgin{@}[@])", "in · {{instance}}")
        .query("-rate(node_vmstat_pgpgout{@}[@])", "out · {{instance}}")
        .signed(),
        lines("Swapped pages", RATE, "Pages from and to the swap space; out is below zero.")
            .query("rate(node_vmstat_pswpin{@}[@])", "in · {{instance}}")
            .query("-rate(node_vmstat_pswpout{@}[@])", "out · {{instance}}")
            .signed(),
    ]
}

fn memory_in_detail() -> Vec<Panel> {
    vec![
        lines(
            "Of programs",
            BYTES,
            "Memory without a file behind it, files mapped, and memory that is shared.",
        )
        .query("node_memory_AnonPages_bytes{@}", "without a file · {{instance}}")
        .query("node_memory_Mapped_bytes{@}", "files mapped · {{instance}}")
        .query("node_memory_Shmem_bytes{@}", "shared · {{instance}}"),
        lines("Of the kernel", BYTES, "Stacks, page tables, memory for each core.")
            .query("node_memory_KernelStack_bytes{@}", "stacks · {{instance}}")
            .query("node_memory_PageTables_bytes{@}", "page tables · {{instance}}")
            .query("node_memory_Percpu_bytes{@}", "each core · {{instance}}"),
        lines("Slab", BYTES, "Objects of the kernel, by whether they can be given up.")
            .query("node_memory_SReclaimable_bytes{@}", "can be given up · {{instance}}")
            .query("node_memory_SUnreclaim_bytes{@}", "cannot · {{instance}}"),
        lines("Active", BYTES, "Pages used lately, by whether a file is behind them.")
            .query("node_memory_Active_anon_bytes{@}", "without a file · {{instance}}")
            .query("node_memory_Active_file_bytes{@}", "of files · {{instance}}"),
        lines("Inactive", BYTES, "Pages not used lately, by whether a file is behind them.")
            .query("node_memory_Inactive_anon_bytes{@}", "without a file · {{instance}}")
            .query("node_memory_Inactive_file_bytes{@}", "of files · {{instance}}"),
        lines("Locked", BYTES, "Pages that may not be moved out of memory.")
            .query("node_memory_Mlocked_bytes{@}", "locked · {{instance}}")
            .query("node_memory_Unevictable_bytes{@}", "unevictable · {{instance}}"),
        lines("Huge pages", COUNT, "Pages of the reserved kind.")
            .query("node_memory_HugePages_Total{@}", "in all · {{instance}}")
            .query("node_memory_HugePages_Free{@}", "free · {{instance}}")
            .query("node_memory_HugePages_Rsvd{@}", "promised · {{instance}}"),
        lines("Transparent huge pages", BYTES, "What programs have in large pages without asking for it.")
            .query("node_memory_AnonHugePages_bytes{@}", "programs · {{instance}}")
            .query("node_memory_ShmemHugePages_bytes{@}", "shared · {{instance}}"),
        lines("Mapped directly", BYTES, "The kernel's own map of the memory, by the size of its pages.")
            .query("node_memory_DirectMap4k_bytes{@}", "4 KiB · {{instance}}")
            .query("node_memory_DirectMap2M_bytes{@}", "2 MiB · {{instance}}")
            .query("node_memory_DirectMap1G_bytes{@}", "1 GiB · {{instance}}"),
    ]
}

fn protocols() -> Vec<Panel> {
    vec![
        lines(
            "TCP connections",
            COUNT,
            "Established ones, those that wait for their end, and those that no program has.",
        )
        .query("node_netstat_Tcp_CurrEstab{@}", "established · {{instance}}")
        .query("node_sockstat_TCP_tw{@}", "waiting for the end · {{instance}}")
        .query("node_sockstat_TCP_orphan{@}", "orphans · {{instance}}"),
        lines("TCP opens", RATE, "Connections opened by this host and by others.")
            .query("rate(node_netstat_Tcp_ActiveOpens{@}[@])", "by this host · {{instance}}")
            .query("rate(node_netstat_Tcp_PassiveOpens{@}[@])", "by others · {{instance}}"),
        lines("TCP segments", PACKETS, "Received and sent; sent is below zero.")
            .query("rate(node_netstat_Tcp_InSegs{@}[@])", "received · {{instance}}")
            .query("-rate(node_netstat_Tcp_OutSegs{@}[@])", "sent · {{instance}}")
            .signed(),
        lines("TCP sent again", RATIO, "Share of the segments that had to be sent again.")
            .query(
                "rate(node_netstat_Tcp_RetransSegs{@}[@]) / (rate(node_netstat_Tcp_OutSegs{@}[@]) > 0)",
                "{{instance}}",
            )
            .above(0.01, 0.05),
        lines("TCP errors", RATE, "Broken segments, resets, timeouts, and first segments sent again.")
            .query("rate(node_netstat_Tcp_InErrs{@}[@])", "broken · {{instance}}")
            .query("rate(node_netstat_Tcp_OutRsts{@}[@])", "resets · {{instance}}")
            .query("rate(node_netstat_TcpExt_TCPTimeouts{@}[@])", "timeouts · {{instance}}")
            .query("rate(node_netstat_TcpExt_TCPSynRetrans{@}[@])", "first segments · {{instance}}"),
        lines(
            "Listening sockets",
            RATE,
            "Connections that a full queue turned away, and cookies against floods.",
        )
        .query("rate(node_netstat_TcpExt_ListenDrops{@}[@])", "dropped · {{instance}}")
        .query("rate(node_netstat_TcpExt_ListenOverflows{@}[@])", "overflows · {{instance}}")
        .query("rate(node_netstat_TcpExt_SyncookiesSent{@}[@])", "cookies sent · {{instance}}")
        .query("rate(node_netstat_TcpExt_SyncookiesFailed{@}[@])", "cookies refused · {{instance}}"),
        lines("UDP datagrams", PACKETS, "Received and sent; sent is below zero.")
            .query("rate(node_netstat_Udp_InDatagrams{@}[@])", "received · {{instance}}")
            .query("-rate(node_netstat_Udp_OutDatagrams{@}[@])", "sent · {{instance}}")
            .signed(),
        lines(
            "UDP errors",
            PACKETS,
            "Broken datagrams, those for no one, and those that found a full buffer.",
        )
        .query("rate(node_netstat_Udp_InErrors{@}[@])", "broken · {{instance}}")
        .query("rate(node_netstat_Udp_NoPorts{@}[@])", "for no one · {{instance}}")
        .query("rate(node_netstat_Udp_RcvbufErrors{@}[@])", "full on the way in · {{instance}}")
        .query("rate(node_netstat_Udp_SndbufErrors{@}[@])", "full on the way out · {{instance}}"),
        lines("UDP queues", BYTES, "What waits in queues of UDP sockets.")
            .query("node_udp_queues{@}", "{{queue}} {{ip}} · {{instance}}"),
        lines("Sockets", COUNT, "Sockets in use, by protocol.")
            .query("node_sockstat_sockets_used{@}", "all · {{instance}}")
            .query("node_sockstat_TCP_inuse{@}", "TCP · {{instance}}")
            .query("node_sockstat_UDP_inuse{@}", "UDP · {{instance}}")
            .query("node_sockstat_RAW_inuse{@}", "raw · {{instance}}"),
        lines("Memory of sockets", BYTES, "What the kernel holds for them.")
            .query("node_sockstat_TCP_mem_bytes{@}", "TCP · {{instance}}")
            .query("node_sockstat_UDP_mem_bytes{@}", "UDP · {{instance}}"),
        lines("ICMP", PACKETS, "Messages received and sent, and broken ones.")
            .query("rate(node_netstat_Icmp_InMsgs{@}[@])", "received · {{instance}}")
            .query("rate(node_netstat_Icmp_OutMsgs{@}[@])", "sent · {{instance}}")
            .query("rate(node_netstat_Icmp_InErrors{@}[@])", "broken · {{instance}}"),
    ]
}

fn network_in_detail() -> Vec<Panel> {
    vec![
        lines(
            "Broken frames",
            PACKETS,
            "Full queues of the device, wrong frames, lost carriers and collisions.",
        )
        .query("rate(node_network_receive_fifo_total{@}[@])", "queue in {{device}} · {{instance}}")
        .query("rate(node_network_transmit_fifo_total{@}[@])", "queue out {{device}} · {{instance}}")
        .query("rate(node_network_receive_frame_total{@}[@])", "frames {{device}} · {{instance}}")
        .query("rate(node_network_transmit_carrier_total{@}[@])", "carrier {{device}} · {{instance}}")
        .query("rate(node_network_transmit_colls_total{@}[@])", "collisions {{device}} · {{instance}}"),
        lines("Multicast", PACKETS, "Packets for many, received.")
            .query("rate(node_network_receive_multicast_total{@}[@])", "{{device}} · {{instance}}"),
        lines("Carrier", COUNT, "1 where the link is up.")
            .query("node_network_carrier{@}", "{{device}} · {{instance}}"),
        lines("Changes of the carrier", COUNT, "How often links went up or down in the last hour.")
            .query("increase(node_network_carrier_changes_total{@}[1h])", "{{device}} · {{instance}}"),
        lines("Largest packet", "decbytes", "The MTU of each interface.")
            .query("node_network_mtu_bytes{@}", "{{device}} · {{instance}}"),
        lines("Neighbours", COUNT, "Entries of the ARP table.")
            .query("node_arp_entries{@}", "{{device}} · {{instance}}"),
        lines("Work by core", PACKETS, "Packets that each core took from the interfaces.")
            .query("rate(node_softnet_processed_total{@}[@])", "{{cpu}} · {{instance}}"),
        lines(
            "Work left",
            RATE,
            "Packets that a core dropped, and times it had more than it could do at once.",
        )
        .query("rate(node_softnet_dropped_total{@}[@])", "dropped {{cpu}} · {{instance}}")
        .query("rate(node_softnet_times_squeezed_total{@}[@])", "squeezed {{cpu}} · {{instance}}"),
        lines("IP", BYTES_RATE, "All bytes of IP; sent is below zero.")
            .query("rate(node_netstat_IpExt_InOctets{@}[@])", "received · {{instance}}")
            .query("-rate(node_netstat_IpExt_OutOctets{@}[@])", "sent · {{instance}}")
            .signed(),
    ]
}

fn kernel() -> Vec<Panel> {
    vec![
        name("System", "What runs, as it calls itself.")
            .query("node_os_info{@}", "{{pretty_name}} · {{instance}}")
            .wide(8),
        name("Kernel", "Its release and the machine that it is built for.")
            .query("node_uname_info{@}", "{{nodename}}: {{sysname}} {{release}} {{machine}}")
            .wide(8),
        name("Clock source", "What the kernel tells the time by.")
            .query("node_time_clocksource_current_info{@}", "{{clocksource}} · {{instance}}")
            .wide(8),
        lines("File descriptors", RATIO, "Share of those that the kernel would give out.")
            .query("node_filefd_allocated{@} / node_filefd_maximum{@}", "{{instance}}")
            .above(0.75, 0.9),
        lines("Entropy", "none", "Bits of randomness at hand.")
            .query("node_entropy_available_bits{@}", "{{instance}}"),
        lines(
            "Clock",
            SECONDS,
            "How far the host's clock is from that of who asks; up to an interval is no fault.",
        )
        .query("node_time_seconds{@} - timestamp(node_time_seconds{@})", "{{instance}}")
        .signed(),
    ]
}

fn hardware() -> Vec<Panel> {
    vec![
        lines("Temperatures", CELSIUS, "Of sensors of chips, where there are any.")
            .query("node_hwmon_temp_celsius{@}", "{{chip}} {{sensor}} · {{instance}}"),
        lines("Zones", CELSIUS, "Temperatures by zone, where there are any.")
            .query("node_thermal_zone_temp{@}", "{{type}} {{zone}} · {{instance}}"),
        lines("Fans", "rotrpm", "Turns a minute, where fans tell them.")
            .query("node_hwmon_fan_rpm{@}", "{{chip}} {{sensor}} · {{instance}}"),
        lines("Voltages", "volt", "Of sensors of chips, where there are any.")
            .query("node_hwmon_in_volts{@}", "{{chip}} {{sensor}} · {{instance}}"),
        lines("Cooling", COUNT, "How hard cooling devices work; what it means depends on the device.")
            .query("node_cooling_device_cur_state{@}", "{{type}} {{name}} · {{instance}}"),
        lines("Slowed down", RATE, "Times that cores were slowed down by their heat.").query(
            "rate(node_cpu_core_throttles_total{@}[@])",
            "package {{package}} core {{core}} · {{instance}}",
        ),
    ]
}

fn control_group() -> Vec<Panel> {
    vec![
        lines(
            "Processor",
            COUNT,
            "Cores used by the control group that gaugecast runs in, and its limit if there is one.",
        )
        .query("rate(gaugecast_cgroup_cpu_usage_seconds_total{@}[@])", "used · {{instance}}")
        .query("gaugecast_cgroup_cpu_limit_cpus{@}", "limit · {{instance}}"),
        lines("Held back", RATIO, "Share of the time in which the group was held back by its limit.")
            .query("rate(gaugecast_cgroup_cpu_throttled_seconds_total{@}[@])", "{{instance}}")
            .above(0.05, 0.25),
        lines("Memory", BYTES, "Memory of the control group, and its limit if there is one.")
            .query("gaugecast_cgroup_memory_usage_bytes{@}", "used · {{instance}}")
            .query("gaugecast_cgroup_memory_limit_bytes{@}", "limit · {{instance}}"),
    ]
}

fn collectors() -> Vec<Panel> {
    vec![
        lines("Time of a collector", SECONDS, "How long each took the last time.")
            .query("node_scrape_collector_duration_seconds{@}", "{{collector}} · {{instance}}")
            .wide(12),
        lines("Success", COUNT, "0 where a collector had nothing to show or failed.")
            .query("node_scrape_collector_success{@}", "{{collector}} · {{instance}}")
            .wide(12),
    ]
}
