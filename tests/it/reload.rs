//! Another configuration for a gateway that runs.

use crate::support::{Gateway, Outcome, edgeway, within_patience};
use std::{fs, os::unix::fs::symlink, path::Path};
use tempfile::TempDir;

/// A route that says `text`.
fn says(text: &str) -> String {
    format!("# watched\nroutes: [{{ id: a, match: {{ path: /a }}, respond: {{ body: {text} }}, auth: public }}]\n")
}

fn said(gateway: &Gateway) -> String {
    gateway.get("/a", &[]).body
}

fn generation(gateway: &Gateway) -> u64 {
    gateway.get("/health", &[]).json()["generation"].as_u64().unwrap()
}

#[test]
fn a_change_of_the_file_is_a_reload_and_a_bad_one_is_none() {
    let gateway = Gateway::start(&says("one"));
    assert_eq!((said(&gateway).as_str(), generation(&gateway)), ("one", 1));
    gateway.rewrite(&says("two"));
    assert!(within_patience(|| said(&gateway) == "two"));
    assert_eq!(generation(&gateway), 2);
    gateway.tells(&["the configuration file has changed", "reload: route a changed: respond", "generation 2 serves"]);

    gateway.rewrite("# watched\nroutez: []\n");
    gateway.tells(&["reload refused, the running configuration stays", "did you mean \"routes\"?"]);
    assert_eq!((said(&gateway).as_str(), generation(&gateway)), ("two", 2));
    assert_eq!(gateway.metric("edgeway_config_reload_failure_total"), Some(1.0));
    // Told once, not with every look.
    gateway.rewrite(&says("three"));
    assert!(within_patience(|| said(&gateway) == "three"));
    assert_eq!(gateway.metric("edgeway_config_reload_failure_total"), Some(1.0));
    // The line follows the change, and the next reload counts lines.
    gateway.tells(&["generation 3 serves"]);

    // Asked for meanwhile, it is one reload and not two.
    gateway.rewrite(&says("four"));
    assert!(gateway.reload());
    assert_eq!((said(&gateway).as_str(), generation(&gateway)), ("four", 4));
    gateway.rewrite(&says("five"));
    assert!(within_patience(|| said(&gateway) == "five"));
    assert_eq!(generation(&gateway), 5);
}

/// As Kubernetes changes a mounted ConfigMap: a new folder beside the old one, and a link that is turned over.
#[test]
fn a_configmap_that_is_turned_over_is_a_reload() {
    let mount = TempDir::new().unwrap();
    let here = |name: &str| mount.path().join(name);
    let publish = |version: &str, sections: &str| {
        fs::create_dir(here(version)).unwrap();
        fs::write(here(version).join("routes.yaml"), sections).unwrap();
        symlink(version, here("..data_tmp")).unwrap();
        fs::rename(here("..data_tmp"), here("..data")).unwrap();
    };
    let run = mount.path().join("run");
    let server = format!(
        "server: {{ threads: 1, run_dir: {} }}\nlisteners: [{{ address: \"127.0.0.1:0\" }}]\nadmin: {{ address: \"127.0.0.1:0\" }}\n",
        run.display()
    );
    publish("..2026_1", &(server.clone() + &says("one")));
    symlink("..data/routes.yaml", here("routes.yaml")).unwrap();
    let gateway = Gateway::start_file(TempDir::new().unwrap(), mount.path(), &[]);
    assert_eq!(said(&gateway), "one");
    publish("..2026_2", &(server + &says("two")));
    assert!(within_patience(|| said(&gateway) == "two"));
    // A second file in the folder counts too.
    fs::write(here("more.yaml"), "routes: [{ id: b, match: { path: /b }, respond: { body: b }, auth: public }]\n")
        .unwrap();
    assert!(within_patience(|| gateway.get("/b", &[]).body == "b"));
    gateway.tells(&["reload: route b is new"]);
    assert_eq!(generation(&gateway), 3);
}

fn run(arguments: &[&str], folder: &Path) -> Outcome {
    edgeway(folder).args(arguments).output().unwrap().into()
}

#[test]
fn the_commands_reload_and_health_say_what_came_of_it() {
    let gateway = Gateway::start(&says("one").replace("# watched", "#"));
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("edgeway.yaml");
    // The port was free for the taking, so that the file does not know it.
    let place = gateway.admin.to_string();
    let ask = |command: &str| {
        fs::write(&file, "routes: []\n").unwrap();
        run(&[command, "--config", file.to_str().unwrap(), "--admin", &place], folder.path())
    };
    let healthy = ask("health");
    assert_eq!((healthy.code, healthy.stdout.as_str()), (Some(0), "{\"status\":\"ready\"}\n"), "{}", healthy.stderr);
    let reloaded = ask("reload");
    assert_eq!((reloaded.code, reloaded.stdout.as_str()), (Some(0), "generation 2 serves\n"), "{}", reloaded.stderr);
    gateway.rewrite("routez: []\n");
    let refused = ask("reload");
    assert_eq!(refused.code, Some(78), "{}", refused.stderr);
    assert!(refused.stderr.contains("did you mean \"routes\"?") && refused.stderr.contains("the running one stays"));
    assert_eq!(said(&gateway), "one");
    gateway.signal(nix::sys::signal::Signal::SIGINT);
    assert!(within_patience(|| ask("health").code == Some(1)));
    let nobody = ask("reload");
    assert!(nobody.code == Some(1) && nobody.stderr.contains("is the gateway running"), "{}", nobody.stderr);
}

#[test]
fn what_http2_does_not_take_over_is_said() {
    let listener = |more: &str| format!("listeners: [{{ address: \"127.0.0.1:0\"{more} }}]\n{}", says("one"));
    let gateway = Gateway::start(&listener(""));
    gateway.rewrite(&listener(", max_headers: 50"));
    gateway.tells(&["listeners[0]: HTTP/2 keeps its limits", "generation 2 serves"]);
}
