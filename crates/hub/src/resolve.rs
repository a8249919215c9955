//! The whole way, from what a person typed to a folder that holds a model.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::cache::{Cached, ModelCache};
use crate::client::{Attempts, Client};
use crate::download::Download;
use crate::listing::{self, Listing};
use crate::{HubError, HubOptions, ModelName, Plan, PlannedFile, Progress};

/// A model's folder, fetched first if it must be.
///
/// `name_or_dir`: a folder, which wins, or `org/name`, or `org/name@revision`. A name that the
/// cache holds whole is answered without the network unless [`HubOptions::refresh`] is set; one
/// that another program left there, perhaps without the files that only we use, is completed if
/// the hub can be reached, and used as it is if not.
///
/// # Errors
///
/// Every variant of [`HubError`] but [`HubError::NotCached`]. Whatever happens, the cache holds no
/// snapshot that looks whole and is not.
pub fn resolve(
    name_or_dir: &str,
    options: &HubOptions,
    progress: &mut dyn Progress,
) -> Result<PathBuf, HubError> {
    let path = Path::new(name_or_dir);
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    if path.exists() {
        return Err(HubError::NotAFolder {
            path: path.to_owned(),
        });
    }
    let model = match name_or_dir.parse::<ModelName>() {
        Ok(model) => model,
        Err(_) if is_surely_a_path(name_or_dir) => {
            return Err(HubError::NoSuchFolder {
                path: path.to_owned(),
            });
        }
        Err(reason) => {
            return Err(HubError::NoSuchName {
                name: name_or_dir.to_owned(),
                reason,
            });
        }
    };
    let cache = ModelCache::new(&options.cache, &model);
    let found = cache.find(&model);
    if let Cached::Whole(folder) = &found
        && (!options.refresh || options.offline.is_some())
    {
        return Ok(folder.clone());
    }
    if let Some(because) = &options.offline {
        return match found {
            Cached::Whole(folder) | Cached::Usable(folder) => Ok(folder),
            Cached::Not(missing) => Err(HubError::Offline {
                name: model.to_string(),
                cache: options.cache.clone(),
                because: because.clone(),
                missing,
            }),
        };
    }
    let client = Client::new(options, &model)?;
    match (list(&client, options, &model, progress), found) {
        (Ok(listing), _) => pull(&client, options, &model, &cache, &listing, progress),
        (Err(HubError::Stopped { name }), _) => Err(HubError::Stopped { name }),
        (Err(_), Cached::Usable(folder)) if !options.refresh => Ok(folder),
        (Err(error), _) => Err(error),
    }
}

/// The folder of a model that is here already: a folder of that name, or a snapshot in the cache
/// that can be loaded. Opens no socket.
pub fn cached(name_or_dir: &str, options: &HubOptions) -> Option<PathBuf> {
    let path = Path::new(name_or_dir);
    if path.is_dir() {
        return Some(path.to_owned());
    }
    let model: ModelName = name_or_dir.parse().ok()?;
    match ModelCache::new(&options.cache, &model).find(&model) {
        Cached::Whole(folder) | Cached::Usable(folder) => Some(folder),
        Cached::Not(_) => None,
    }
}

/// Whether a name that no model could have is meant as a path.
fn is_surely_a_path(name: &str) -> bool {
    name.starts_with(['/', '.', '~'])
        || name.ends_with('/')
        || name.contains('\\')
        || name.matches('/').count() > 1
}

fn list(
    client: &Client<'_>,
    options: &HubOptions,
    model: &ModelName,
    progress: &mut dyn Progress,
) -> Result<Listing, HubError> {
    let mut attempts = Attempts::new(options, model);
    loop {
        match listing::fetch(client, model) {
            Ok(listing) => return Ok(listing),
            Err(failure) => attempts.after(failure, progress)?,
        }
    }
}

/// Fetches the blobs that are missing, and only then makes the snapshot that names them.
fn pull(
    client: &Client<'_>,
    options: &HubOptions,
    model: &ModelName,
    cache: &ModelCache,
    listing: &Listing,
    progress: &mut dyn Progress,
) -> Result<PathBuf, HubError> {
    let commit = listing.commit.as_str();
    let snapshot = cache.snapshot(commit);
    let plan = plan(model, cache, listing);
    if plan.files.iter().any(|file| !file.here) {
        check_room(&options.cache, plan.missing_bytes)?;
        if progress.plan(&plan).is_break() {
            let name = model.to_string();
            return Err(HubError::Stopped { name });
        }
        let here = plan.files.iter().filter(|file| file.here);
        let mut download = Download {
            client,
            options,
            model,
            cache,
            commit,
            progress,
            done: here.map(|file| file.size).sum(),
            total: plan.total_bytes,
        };
        for (file, planned) in listing.files.iter().zip(&plan.files) {
            if !planned.here {
                download.fetch(file)?;
            }
        }
    }
    // `config.json` is what makes a folder look like a model, so it comes last.
    let (last, first): (Vec<_>, Vec<_>) = listing
        .files
        .iter()
        .partition(|file| matches!(&*file.path, "config.json" | "adapter_config.json"));
    for file in first.into_iter().chain(last) {
        cache.link(commit, &file.path, file.hash.text())?;
    }
    let paths = listing.files.iter().map(|file| file.path.clone());
    cache.seal(model, commit, paths)?;
    Ok(snapshot)
}

fn plan(model: &ModelName, cache: &ModelCache, listing: &Listing) -> Plan {
    let snapshot = cache.snapshot(&listing.commit);
    let mut counted = BTreeSet::new();
    let (mut files, mut total_bytes, mut missing_bytes) = (Vec::new(), 0_u64, 0_u64);
    for file in &listing.files {
        let hash = file.hash.text();
        let here = snapshot.join(&file.path).is_file() || cache.blob(hash).is_file();
        total_bytes = total_bytes.saturating_add(file.size);
        // Two files of the same bytes are one blob.
        if !here && counted.insert(hash) {
            let begun = cache.incomplete(hash).metadata();
            let begun = begun.map_or(0, |meta| meta.len().min(file.size));
            missing_bytes = missing_bytes.saturating_add(file.size - begun);
        }
        files.push(PlannedFile {
            path: file.path.clone(),
            size: file.size,
            here,
        });
    }
    Plan {
        model: model.to_string(),
        commit: listing.commit.clone(),
        folder: cache.folder().to_owned(),
        files,
        total_bytes,
        missing_bytes,
    }
}

/// Refuses a download that the disk has no room for, before it begins.
#[cfg(unix)]
fn check_room(folder: &Path, needed: u64) -> Result<(), HubError> {
    std::fs::create_dir_all(folder).map_err(HubError::disk(folder, "create"))?;
    let room = rustix::fs::statvfs(folder)
        .map_err(|errno| HubError::disk(folder, "measure")(errno.into()))?;
    let available = room.f_bavail.saturating_mul(room.f_frsize);
    if needed <= available {
        return Ok(());
    }
    Err(HubError::DiskFull {
        folder: folder.to_owned(),
        needed,
        available,
    })
}

/// Elsewhere a full disk shows when it is full, as an error of its own.
#[cfg(not(unix))]
fn check_room(_: &Path, _: u64) -> Result<(), HubError> {
    Ok(())
}
