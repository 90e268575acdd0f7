use crate::{
    auth::{hash_api_key, hash_password, new_api_key},
    server::StartError,
};
use std::io::{self, IsTerminal, Read};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  edgeway hash < password.txt          prints $argon2id$..., for auth.basic.users[].password_hash
  edgeway hash --new-api-key           makes a key, and prints it with its sha256, for auth.api_keys.keys[].sha256
  edgeway hash --api-key < key.txt     prints the sha256 of a key that exists already

White space at the end of what is read does not count.")]
pub(super) struct Arguments {
    /// Hash the API key that is read from stdin
    #[arg(long, conflicts_with = "new_api_key")]
    api_key: bool,
    /// Make an API key that nobody can guess
    #[arg(long)]
    new_api_key: bool,
}

/// Prints what belongs into the file, never what was read.
pub(super) fn run(arguments: &Arguments) -> Result<(), StartError> {
    if arguments.new_api_key {
        let key = new_api_key().ok_or_else(|| io::Error::other("the system has no random numbers"))?;
        println!("key:    {key}\nsha256: {}", hash_api_key(&key));
        return Ok(());
    }
    let what = if arguments.api_key { "key" } else { "password" };
    if io::stdin().is_terminal() {
        eprintln!(
            "Write the {what}, then Enter and Ctrl-D (it is shown while you write; better: edgeway hash < file):"
        );
    }
    let mut secret = String::new();
    io::stdin().read_to_string(&mut secret)?;
    let secret = secret.trim_end();
    if secret.is_empty() {
        return Err(io::Error::other(format!("no {what} came on stdin; write: edgeway hash < file")).into());
    }
    let hash = match arguments.api_key {
        true => hash_api_key(secret),
        false => hash_password(secret).ok_or_else(|| io::Error::other("the password could not be hashed"))?,
    };
    println!("{hash}");
    Ok(())
}
