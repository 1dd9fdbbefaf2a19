// What MultiQC and nf-core pipelines collect from a step: a custom-content section, and a versions.yml.
//
// The bytes are a function of the step, its results and the file's name: nothing volatile is in them but the version.
#pragma once
#include <optional>
#include <string>

#include "step/bundle.h"
#include "step/manifest.h"
#include "step/tally.h"

namespace ibid::step {

// MultiQC finds files named *_mqc.json; the part of `path` before that names the row, as MultiQC users expect.
// Two files of one name, in whatever folders, are one row to it.
// Rows of all steps of a report share one table; a shard's row says which shard it is, and has the step id of the merged one.
std::string multiqc_section(const std::string& path, const Manifest& manifest, const Tally& tally, const BundleIds& ids,
                            const std::optional<ShardPart>& shard = std::nullopt);

// "PROCESS": {ibid: version}, the form that nf-core's versions.yml has.
std::string versions_yml(const std::string& process);

}  // namespace ibid::step
