//! Are we in a container that does not see its host?

use std::path::Path;

use crate::collect::Paths;

/// What a container runtime leaves behind, in the root of the container.
const MARKS: [&str; 2] = [".dockerenv", "run/.containerenv"];

/// Parts of the control group paths that container runtimes make.
const RUNTIMES: [&str; 5] = ["/docker", "/kubepods", "containerd", "/lxc", "libpod"];

/// Why this looks like a container whose host is not mounted, for a warning at the start: the figures are then
/// partly those of the container. None outside of containers, and where `--path.rootfs` names a host.
#[must_use]
pub fn without_host(paths: &Paths) -> Option<String> {
    let variable = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    without_host_at(Path::new("/"), paths, variable)
}

fn without_host_at(root: &Path, paths: &Paths, variable: impl Fn(&str) -> bool) -> Option<String> {
    if paths.rootfs != Path::new("/") {
        return None;
    }
    let mark = MARKS.iter().find(|mark| root.join(mark).exists()).map(|mark| format!("/{mark} exists"));
    let variable = || {
        let set = ["container", "KUBERNETES_SERVICE_HOST"].into_iter().find(|name| variable(name));
        set.map(|name| format!("the variable {name} is set"))
    };
    let group = || {
        let groups = std::fs::read_to_string(root.join("proc/1/cgroup")).unwrap_or_default();
        let found = RUNTIMES.into_iter().find(|runtime| groups.contains(runtime));
        found.map(|runtime| format!("/proc/1/cgroup names {}", runtime.trim_matches('/')))
    };
    mark.or_else(variable).or_else(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_told_by_its_marks_unless_the_host_is_mounted() {
        let folder = tempfile::tempdir().unwrap();
        let alone = Paths::default();
        let with_host = Paths { rootfs: "/host".into(), ..Paths::default() };
        let none = |_: &str| false;
        assert_eq!(without_host_at(folder.path(), &alone, none), None);
        let set = |name: &str| name == "KUBERNETES_SERVICE_HOST";
        let reason = without_host_at(folder.path(), &alone, set).unwrap();
        assert_eq!(reason, "the variable KUBERNETES_SERVICE_HOST is set");
        std::fs::create_dir_all(folder.path().join("proc/1")).unwrap();
        std::fs::write(folder.path().join("proc/1/cgroup"), "0::/docker/abc\n").unwrap();
        assert_eq!(without_host_at(folder.path(), &alone, none).unwrap(), "/proc/1/cgroup names docker");
        std::fs::write(folder.path().join(".dockerenv"), "").unwrap();
        assert_eq!(without_host_at(folder.path(), &alone, none).unwrap(), "/.dockerenv exists");
        assert_eq!(without_host_at(folder.path(), &with_host, none), None);
    }
}
