//! Ways in that others have failed on, tried by real guests against rules: refused, and on record.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::rules::{Ruled, WHO};
use super::support::{Folder, echo_server, http_server, udp_server};

fn rule(id: &str, kind: &str, targets: Value, accesses: Value) -> Value {
    json!({"id": id, "effect": "allow", "principals": [format!("name:{WHO}")], "kind": kind,
           "targets": targets, "access": accesses})
}

/// What one attempt has to leave behind: the operation, how its target ends, and the rule that refused.
type Refusal<'a> = (&'a str, &'a str, &'a str);

/// Let a guest try each command, and compare what is on record of it.
fn refused(ruled: &Ruled, guest: &str, folder: Option<&Folder>, ways: &[(String, Refusal<'_>)]) {
    for (command, (operation, target, rule)) in ways {
        let before = ruled.records().len();
        let mut program = ruled.program(guest);
        if let Some(folder) = folder {
            program = program.mount(folder.path(), "/data", true);
        }
        let lines = program.arguments([command.as_str()]).run();
        assert!(lines[0].starts_with("err:"), "{command:?}: {lines:?}");
        let records = ruled.records().split_off(before);
        let mut denied = records.iter().filter(|record| record[2] == "deny");
        let (Some(record), None) = (denied.next(), denied.next()) else {
            panic!("{command:?} is not on record once: {lines:?}, {records:#?}");
        };
        assert_eq!(
            (&*record[0], &*record[3]),
            (*operation, *rule),
            "{command:?}: {record:?}"
        );
        assert!(record[1].ends_with(target), "{command:?}: {record:?}");
    }
}

#[test]
fn by_path() {
    let folder = Folder::new();
    let root = folder.path();
    for (path, text) in [
        ("open/file", "open"),
        ("open/dir/inner", "inner"),
        ("readonly/file", "kept"),
        ("secret/file", "secret"),
        ("secret/linked", "secret"),
        ("twins/caf\u{e9}", "granted"),
        ("twins/cafe\u{301}", "secret"),
        ("twins/name", "granted"),
        ("twins/NAME", "secret"),
    ] {
        folder.file(path, text);
    }
    symlink("../secret/file", root.join("open/end")).unwrap();
    symlink("../secret", root.join("open/middle")).unwrap();
    symlink("/etc/passwd", root.join("open/absolute")).unwrap();
    symlink("../secret/new", root.join("open/dangling")).unwrap();
    symlink("../../outside", root.join("open/out")).unwrap();
    std::fs::hard_link(root.join("secret/linked"), root.join("open/planted")).unwrap();
    let at = |path: &str| format!("{}/{path}", root.display());
    let all = json!(["read", "write", "create", "delete", "list", "metadata"]);
    let twins = json!([at("twins/caf\u{e9}"), at("twins/name")]);
    let ruled = Ruled::new(json!([
        rule("open", "filesystem", json!([at("open/**")]), all),
        rule(
            "readonly",
            "filesystem",
            json!([at("readonly/**")]),
            json!(["read"])
        ),
        rule("twins", "filesystem", twins, json!(["read"])),
    ]));
    let long = "a/".repeat(2050);
    let (read, write, create) = ("filesystem.read", "filesystem.write", "filesystem.create");
    let (none, outside, invalid) = ("default-deny", "outside-mount", "invalid-target");
    let ways: Vec<(String, Refusal<'_>)> = [
        ("read|open/end|rf", (read, "/secret/file", none)),
        ("read|open/middle/file|rf", (read, "/secret/file", none)),
        ("read|open/absolute|rf", (read, "/open/absolute", outside)),
        ("read|open/out|rf", (read, "/open/out", outside)),
        ("read|open/../secret/file|r", (read, "/secret/file", none)),
        ("read|../../etc/passwd|r", (read, "/etc/passwd", outside)),
        ("read|open/../../x|r", (read, "/x", outside)),
        ("read|secret//file|r", (read, "/secret/file", none)),
        ("read|secret/file/|r", (read, "/secret/file", none)),
        ("read|secret/./file|r", (read, "/secret/file", none)),
        ("open|secret/.|r", ("filesystem.metadata", "/secret", none)),
        (
            "read|/proc/self/root/etc/passwd|r",
            (read, "/proc/self/root/etc/passwd", invalid),
        ),
        ("read|/dev/fd/0|r", (read, "/dev/fd/0", invalid)),
        ("read|open/file\0|r", (read, "", invalid)),
        (&format!("read|{long}|r"), (read, "", invalid)),
        (
            "read|twins/cafe\u{301}|r",
            (read, "/twins/cafe\u{301}", none),
        ),
        ("read|twins/NAME|r", (read, "/twins/NAME", none)),
        ("open|readonly/file|t", (write, "/readonly/file", none)),
        ("write|open/dangling|wcf|x", (create, "/secret/new", none)),
        ("read|open/planted|r", (read, "/open/planted", "hard-link")),
        (
            "write|open/planted|w|x",
            (write, "/open/planted", "hard-link"),
        ),
        (
            "link|secret/file|open/stolen",
            (write, "/secret/file", none),
        ),
        (
            "link|open/file|secret/planted",
            (create, "/secret/planted", none),
        ),
        (
            "rename|secret/file|open/stolen",
            ("filesystem.delete", "/secret/file", none),
        ),
        (
            "rename|open/file|secret/planted",
            (create, "/secret/planted", none),
        ),
        ("rename|open/dir|secret/dir", (create, "/secret/dir", none)),
        (
            "unlink|secret/file",
            ("filesystem.delete", "/secret/file", none),
        ),
        ("list|secret", ("filesystem.metadata", "/secret", none)),
        (
            "stat|secret/none|",
            ("filesystem.metadata", "/secret/none", none),
        ),
    ]
    .map(|(command, refusal)| (command.to_owned(), refusal))
    .into();
    refused(&ruled, "file-access", Some(&folder), &ways);
    for (path, text) in [("secret/linked", "secret"), ("readonly/file", "kept")] {
        assert_eq!(std::fs::read_to_string(root.join(path)).unwrap(), text);
    }
    assert!(!root.join("secret/new").exists() && !root.join("secret/planted").exists());
}

#[test]
fn by_a_directory_that_moves_while_it_is_used() {
    let folder = Folder::new();
    folder.file("open/dir/file", "open");
    std::fs::create_dir(folder.path().join("secret")).unwrap();
    let open = format!("{}/open/**", folder.path().display());
    let ruled = Ruled::new(json!([rule(
        "open",
        "filesystem",
        json!([open]),
        json!(["*"])
    )]));
    let root = folder.path().to_path_buf();
    let lines = ruled
        .program("file-access")
        .mount(folder.path(), "/data", true)
        .arguments(["hold|moved|open/dir"])
        .on_line(move |line| {
            if line == "held" {
                std::fs::rename(root.join("open/dir"), root.join("secret/dir")).unwrap();
            }
        })
        .run();
    assert_eq!(lines, ["held", "err:not-permitted"]);
    let records = ruled.records();
    let [operation, target, decision, _] = records.last().unwrap();
    assert_eq!((&**operation, &**decision), ("filesystem.read", "deny"));
    assert!(target.ends_with("/secret/dir/file"), "{target}");
}

#[test]
fn by_a_directory_that_moves_after_it_was_read_from_often() {
    let folder = Folder::new();
    folder.file("open/dir/file", "open");
    folder.file("secret/dir/file", "secret");
    let open = format!("{}/open/**", folder.path().display());
    let ruled = Ruled::new(json!([rule(
        "open",
        "filesystem",
        json!([open]),
        json!(["*"])
    )]));
    let root = folder.path().to_path_buf();
    let turn = AtomicUsize::new(0);
    let lines = ruled
        .program("file-access")
        .mount(folder.path(), "/data", false)
        .arguments([
            "repeat|50|read|open/dir/file|r",
            "read|open/dir/file|r",
            "repeat|50|read|open/dir/file|r",
            "repeat|50|read|secret/dir/file|r",
            "read|open/dir/file|r",
        ])
        .on_line(move |_| {
            let swap = |one: &str, other: &str| {
                std::fs::rename(root.join(one), root.join("aside")).unwrap();
                std::fs::rename(root.join(other), root.join(one)).unwrap();
                std::fs::rename(root.join("aside"), root.join(other)).unwrap();
            };
            match turn.fetch_add(1, Ordering::Relaxed) {
                0 => std::fs::rename(root.join("open/dir"), root.join("secret/moved")).unwrap(),
                1 => std::fs::rename(root.join("secret/moved"), root.join("open/dir")).unwrap(),
                2 => swap("open", "secret"),
                3 => std::fs::rename(root.join("open"), root.join("gone")).unwrap(),
                _ => {}
            }
        })
        .run();
    assert_eq!(
        lines,
        [
            "ok:{\"ok open\": 50}",
            "err:no-entry",
            "ok:{\"ok open\": 50}",
            "ok:{\"err not-permitted\": 50}",
            "err:no-entry",
        ]
    );
    let records = ruled.records();
    let reads = |path: &str, as_decided: &str| {
        let of = records.iter().filter(|[operation, target, decision, _]| {
            operation == "filesystem.read" && target.ends_with(path) && decision == as_decided
        });
        of.count()
    };
    // Two of what did not exist, which is decided before that is told.
    assert_eq!(reads("/open/dir/file", "allow"), 102);
    assert_eq!(reads("/secret/dir/file", "deny"), 50);
}

#[test]
fn by_address() {
    let (tcp, udp) = (echo_server(), udp_server());
    let port = tcp.port();
    let targets = json!([
        format!("localhost:{port}"),
        "example.com:*",
        "metadata.internal:80"
    ]);
    let mut only_tcp = rule(
        "tcp",
        "network",
        json!([udp.to_string()]),
        json!(["connect"]),
    );
    only_tcp["transport"] = json!(["tcp"]);
    let ruled = Ruled::new(json!([
        rule("names", "network", targets, json!(["connect", "resolve"])),
        rule(
            "listen",
            "network",
            json!(["127.0.0.1:1"]),
            json!(["listen"])
        ),
        only_tcp,
    ]));
    let (connect, listen, none) = ("network.connect", "network.listen", "default-deny");
    let own = format!("127.0.0.1:{port}");
    let peer = udp.to_string();
    let ways: Vec<(String, Refusal<'_>)> = vec![
        (format!("tcp|127.0.0.1:{port}|x"), (connect, &own, none)),
        // A NAT64 form is the address within.
        (
            format!("tcp|[64:ff9b::7f00:1]:{port}|x"),
            (connect, &own, none),
        ),
        (format!("tcp|0177.0.0.1:{port}|x"), (connect, &own, none)),
        (format!("tcp|2130706433:{port}|x"), (connect, &own, none)),
        (format!("tcp|0x7f.1:{port}|x"), (connect, &own, none)),
        (
            "tcp|169.254.169.254:80|x".to_owned(),
            (connect, "169.254.169.254:80", none),
        ),
        (
            "tcp|[fe80::1]:80|x".to_owned(),
            (connect, "[fe80::1]:80", none),
        ),
        // The name may be connected to, but it leads to this machine.
        (format!("tcp|localhost:{port}|x"), (connect, "", none)),
        // UDP after TCP was granted.
        (format!("udp|{peer}|x"), (connect, &peer, none)),
        (format!("udp-connected|{peer}|x"), (connect, &peer, none)),
        ("listen|127.0.0.1:0".to_owned(), (listen, "", none)),
        ("listen|0.0.0.0:0".to_owned(), (listen, "", none)),
        ("listen|0.0.0.0:1".to_owned(), (listen, "0.0.0.0:1", none)),
        (
            "bind-udp|127.0.0.1:18083".to_owned(),
            (listen, "127.0.0.1:18083", none),
        ),
        (
            "resolve|other.example".to_owned(),
            ("network.resolve", "other.example", none),
        ),
        (
            "resolve|a b".to_owned(),
            ("network.resolve", "a b", "invalid-target"),
        ),
        // Unix sockets, by path and abstract.
        (
            "resolve|unix:/run/docker.sock".to_owned(),
            ("network.resolve", "unix:/run/docker.sock", "invalid-target"),
        ),
        (
            "resolve|@abstract".to_owned(),
            ("network.resolve", "@abstract", "invalid-target"),
        ),
    ];
    refused(&ruled, "net-client", None, &ways);

    // Mapped and compatible forms are no addresses to a socket of the guest: there is nothing to decide.
    let lines = ruled
        .program("net-client")
        .arguments([
            format!("tcp|[::ffff:127.0.0.1]:{port}|x"),
            format!("tcp|[::127.0.0.1]:{port}|x"),
        ])
        .run();
    assert_eq!(lines, ["err:InvalidInput"; 2]);
}

#[test]
fn by_a_socket_that_is_a_file() {
    let folder = Folder::new();
    let path = folder.path().join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let all = format!("{}/**", folder.path().display());
    let ruled = Ruled::new(json!([rule(
        "all",
        "filesystem",
        json!([all]),
        json!(["*"])
    )]));
    let lines = ruled
        .program("file-access")
        .mount(folder.path(), "/data", true)
        .arguments(["read|socket|r", "write|socket|w|x", "std-read|/data/socket"])
        .run();
    assert!(
        lines.iter().all(|line| line.starts_with("err:")),
        "{lines:?}"
    );
    assert!(
        ruled.records()[1..]
            .iter()
            .all(|record| record[1] == path.display().to_string()),
        "{:?}",
        ruled.records()
    );
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "somebody has connected");
}

#[test]
fn headers_for_proxies_are_no_headers_of_a_guest() {
    let server = http_server();
    let ruled = Ruled::new(json!([rule(
        "all",
        "http",
        json!([format!("http://{server}/**")]),
        json!(["*"])
    )]));
    for header in [
        "host",
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
    ] {
        let lines = ruled
            .program("http-client")
            .arguments([format!("GET|http|{server}|/|{header}: other.example")])
            .run();
        assert_eq!(lines, ["err:HeaderError::Forbidden"], "{header}");
    }
    // No request came about.
    assert_eq!(ruled.records().len(), 1);
}

#[test]
fn by_request() {
    let (server, other) = (http_server(), http_server());
    let (host, other) = (server.to_string(), other.to_string());
    let port = server.port();
    let ruled = Ruled::new(json!([
        rule(
            "v1",
            "http",
            json!([
                format!("http://{host}/v1/**"),
                format!("http://{host}/redirect")
            ]),
            json!(["GET"])
        ),
        rule(
            "name",
            "http",
            json!([format!("http://localhost:{port}/**")]),
            json!(["GET"])
        ),
        rule(
            "wild",
            "http",
            json!([format!("http://**:{port}/**")]),
            json!(["PUT"])
        ),
    ]));
    let (get, none, invalid) = ("http.GET", "default-deny", "invalid-target");
    let plain = |path: &str| format!("http://{host}{path}");
    let ways: Vec<(String, (&str, String, &str))> = vec![
        (
            format!("GET|http|{host}|/admin"),
            (get, plain("/admin"), none),
        ),
        (
            format!("GET|http|{other}|/v1/a"),
            (get, format!("http://{other}/v1/a"), none),
        ),
        (
            format!("POST|http|{host}|/v1/a"),
            ("http.POST", plain("/v1/a"), none),
        ),
        (
            format!("GET|http|user:pw@{host}|/v1/a"),
            (get, format!("http://***@{host}/v1/a"), invalid),
        ),
        (
            format!("GET|http|{host}@{other}|/v1/a"),
            (get, format!("http://***@{other}/v1/a"), invalid),
        ),
        (
            format!("GET|http|{host}|/v1/../admin"),
            (get, plain("/v1/../admin"), invalid),
        ),
        (
            format!("GET|http|{host}|/v1/%2e%2e/admin"),
            (get, plain("/v1/%2e%2e/admin"), invalid),
        ),
        (
            format!("GET|http|{host}|/v1%2fadmin"),
            (get, plain("/v1%2fadmin"), invalid),
        ),
        (
            format!("GET|http|{host}|/v1/..;/admin"),
            (get, plain("/v1/..;/admin"), invalid),
        ),
        (
            format!("GET|http|{host}|/v1/%252e%252e/admin"),
            (get, plain("/v1/%252e%252e/admin"), invalid),
        ),
        (
            format!("CONNECT|http|{host}|/v1/a"),
            ("http.other", plain("/v1/a"), invalid),
        ),
        (
            format!("GET|https|{host}|/v1/a"),
            (get, format!("https://{host}/v1/a"), none),
        ),
        (
            "GET|http|169.254.169.254|/latest".to_owned(),
            (get, "http://169.254.169.254:80/latest".to_owned(), none),
        ),
        // A wildcard is about names: it never matches an address.
        (
            format!("PUT|http|{host}|/v1/a"),
            ("http.PUT", plain("/v1/a"), none),
        ),
        // The name may be asked, but it leads to this machine.
        (
            format!("GET|http|localhost:{port}|/v1/a"),
            (
                "network.connect",
                format!("localhost:{port}"),
                "address-not-allowed",
            ),
        ),
    ];
    // Another spelling of an address is that address.
    let spelled = [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("[::ffff:127.0.0.1]", "127.0.0.1"),
        ("[::127.0.0.1]", "127.0.0.1"),
        ("[64:ff9b::7f00:1]", "127.0.0.1"),
        ("[::]", "[::1]"),
        ("[::1]", "[::1]"),
    ]
    .map(|(spelling, address)| {
        (
            format!("GET|http|{spelling}:{port}|/admin"),
            (get, format!("http://{address}:{port}/admin"), none),
        )
    });
    let ways: Vec<_> = ways
        .iter()
        .chain(&spelled)
        .map(|(command, (operation, target, rule))| {
            (command.clone(), (*operation, &**target, *rule))
        })
        .collect();
    refused(&ruled, "http-client", None, &ways);

    // A redirect goes back to the guest, who may follow it only where it may go.
    let lines = ruled
        .program("http-client")
        .arguments([
            format!("GET|http|{host}|/redirect"),
            format!("GET|http|{host}|/elsewhere"),
        ])
        .run();
    assert!(lines[0].starts_with("ok:302"), "{lines:?}");
    assert_eq!(lines[1], "err:HttpRequestDenied");
    let records = ruled.records();
    let [operation, target, decision, _] = records.last().unwrap();
    assert_eq!(
        (&**operation, &**target, &**decision),
        (get, &*plain("/elsewhere"), "deny")
    );
}
