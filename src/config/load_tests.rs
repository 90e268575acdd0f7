use super::*;

#[test]
fn dump() {
    let text = std::fs::read_to_string(std::env::var("F").unwrap()).unwrap();
    if std::env::var("S").is_ok() {
        println!("{:#}", Config::schema());
    }
    match Config::parse(&text, "f.yaml", &|name| std::env::var(name).ok()) {
        Ok(loaded) => println!("{:#?}\n{}", loaded.warnings, serde_json::to_string_pretty(&*loaded.config).unwrap()),
        Err(errors) => println!("{errors}"),
    }
}
