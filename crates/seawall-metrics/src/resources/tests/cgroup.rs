use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::super::cgroup::{Cgroup, cpu_max, field, limit, v1_path, v2_path};
use super::super::limits::CgroupProbe;
use super::*;

/// A tree of files in a folder of its own, removed at the end.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root =
            std::env::temp_dir().join(format!("seawall-cgroup-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(root)
    }

    fn find(&self, text: &str) -> Option<Cgroup> {
        Cgroup::find(text, &self.0)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// As a kernel 6.1 writes it, of a container with 1.5 CPUs and 1 GiB.
const STAT_V2: &str = "usage_usec 123456789\nuser_usec 100000000\nsystem_usec 23456789\n\
    nr_periods 5000\nnr_throttled 42\nthrottled_usec 1500000\nnr_bursts 0\nburst_usec 0\n";
const MEMORY_V2: &str = "anon 104857600\nfile 209715200\ninactive_anon 0\ninactive_file 52428800\n";

#[test]
fn a_group_of_v2_is_read_with_the_least_limit_around_it() {
    let tree = Tree::new(
        "v2",
        &[
            ("cgroup.controllers", "cpu memory pids\n"),
            ("pod.slice/cpu.max", "400000 100000\n"),
            ("pod.slice/memory.max", "1073741824\n"),
            ("pod.slice/app/cpu.max", "150000 100000\n"),
            ("pod.slice/app/memory.max", "max\n"),
            ("pod.slice/app/memory.current", "314572800\n"),
            ("pod.slice/app/memory.stat", MEMORY_V2),
            ("pod.slice/app/memory.events", "low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\n"),
            ("pod.slice/app/cpu.stat", STAT_V2),
        ],
    );
    let sample = tree.find("0::/pod.slice/app\n").unwrap().read();
    assert_eq!(sample.cpu_limit, Some(1.5));
    assert_eq!(sample.cpu_seconds, Some(123.456789));
    assert_eq!((sample.periods, sample.throttled_periods), (Some(5000), Some(42)));
    assert_eq!(sample.throttled_seconds, Some(1.5));
    assert_eq!(sample.memory_limit, Some(1 << 30));
    assert_eq!(sample.memory_used, Some(314_572_800 - 52_428_800));
    assert_eq!(sample.oom_kills, Some(2));
    assert!((sample.memory_ratio().unwrap() - 0.244).abs() < 0.001);
}

#[test]
fn a_group_of_v1_is_read_and_the_number_for_no_limit_is_none() {
    let tree = Tree::new(
        "v1",
        &[
            ("cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "50000\n"),
            ("cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n"),
            (
                "cpu,cpuacct/docker/abc/cpu.stat",
                "nr_periods 10\nnr_throttled 4\nthrottled_time 2500000000\n",
            ),
            ("cpu,cpuacct/docker/abc/cpuacct.usage", "9876543210\n"),
            ("cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("memory/docker/abc/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/docker/abc/memory.usage_in_bytes", "5000\n"),
            (
                "memory/docker/abc/memory.stat",
                "cache 3000\ninactive_file 1\ntotal_inactive_file 2000\n",
            ),
            (
                "memory/docker/abc/memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n",
            ),
        ],
    );
    let text =
        "12:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n";
    let sample = tree.find(text).unwrap().read();
    assert_eq!(sample.cpu_limit, Some(0.5));
    assert_eq!(sample.cpu_seconds, Some(9.87654321));
    assert_eq!(sample.throttled_seconds, Some(2.5));
    assert_eq!((sample.memory_limit, sample.memory_used), (None, Some(3000)));
    assert_eq!(sample.memory_ratio(), None);
    assert_eq!(sample.oom_kills, Some(7));
}

#[test]
fn where_only_the_group_itself_is_mounted_its_files_are_at_the_root() {
    let tree = Tree::new(
        "own",
        &[("cgroup.controllers", "cpu\n"), ("cpu.max", "200000 100000\n"), ("cpu.stat", STAT_V2)],
    );
    // The path of the host, which the container cannot see; and one that leads out.
    for text in ["0::/kubepods.slice/pod1/abc\n", "0::/../../etc\n", "0::/\n"] {
        let sample = tree.find(text).unwrap().read();
        assert_eq!(sample.cpu_limit, Some(2.0), "{text}");
        assert_eq!(sample.memory_limit, None);
        assert_eq!(sample.memory_used, None);
    }
}

#[test]
fn without_control_groups_there_is_no_sample() {
    let tree = Tree::new("none", &[("readme", "")]);
    assert_eq!(tree.find("0::/\n"), None);
    assert_eq!(tree.find(""), None);
    assert_eq!(Cgroup::find("4:cpu:/\n", Path::new("/nowhere/at/all")), None);
}

#[test]
fn odd_texts_are_no_limits() {
    for (text, cpus) in [
        ("max 100000", None),
        ("-1 100000", None),
        ("0 100000", None),
        ("100000 0", None),
        ("", None),
        ("fast", None),
        ("250000", Some(2.5)),
        ("50000 100000\n", Some(0.5)),
    ] {
        assert_eq!(cpu_max(text), cpus, "{text}");
    }
    assert_eq!(limit("max\n"), None);
    assert_eq!(limit("-1\n"), None);
    assert_eq!(limit("99999999999999999999999"), None);
    assert_eq!(limit(" 12 \n"), Some(12));
    assert_eq!(field("nr_throttled_x 3\nnr_throttled 4", "nr_throttled"), Some(4));
    assert_eq!(field("nr_throttled", "nr_throttled"), None);
    assert_eq!(v2_path("1:cpu:/a\n0::/b"), Some("/b"));
    assert_eq!(v1_path("3:cpuset:/c\n2:cpuacct,cpu:/d:e", "cpu"), Some(("cpuacct,cpu", "/d:e")));
}

#[cfg(target_os = "linux")]
#[test]
fn the_own_group_is_read_and_its_use_follows_the_second_sample() {
    let Some(own) = Cgroup::own() else { return };
    let mut probe = CgroupProbe::new();
    let now = Instant::now();
    let first = probe.sample(now).unwrap();
    assert_eq!(first.cpu_ratio, None);
    let second = probe.sample(now + Duration::from_secs(1)).unwrap();
    assert_eq!(second.cpu_ratio.is_some(), own.read().cpu_seconds.is_some());
}

proptest! {
    #[test]
    fn no_text_of_the_kernel_panics(text in prop_oneof![any::<String>(), "([0-9a-z_,:/.-]{0,12}[ \n]?){0,30}"]) {
        let _ = (cpu_max(&text), limit(&text), field(&text, "a"), v2_path(&text), v1_path(&text, "cpu"));
        let _ = pressure::parse(&text);
        let _ = procfs::disk_bytes(&text);
        let _ = procfs::peak_resident(&text);
    }
}
