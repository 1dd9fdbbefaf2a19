// See html.h.
#include "step/html.h"

#include <algorithm>

#include "step/archived.h"
#include "step/leaves.h"

namespace ibid::step {
namespace {

constexpr const char* kHead = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>ibid bundle</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body{font:15px/1.45 system-ui,sans-serif;max-width:72em;margin:2em auto;padding:0 1em;color:#1a1a1a}
table{border-collapse:collapse}td{padding:.15em .8em .15em 0;vertical-align:top}
code,pre{font:13px/1.4 ui-monospace,monospace}pre{background:#f5f5f2;padding:.7em;white-space:pre-wrap;overflow-wrap:anywhere}
details{border-top:1px solid #ddd;padding:.4em 0}summary{cursor:pointer}.bad{color:#a00}.dim{color:#666}
</style></head><body>
)";

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\n':
      case '\t': out += c; break;
      default: out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? std::string("\xEF\xBF\xBD") : std::string(1, c);
    }
  }
  return out;
}

std::string row(const char* name, const std::string& value) {
  return std::string("<tr><td>") + name + "</td><td><code>" + escaped(value) + "</code></td></tr>\n";
}

std::string answer_html(const Json& answer, const std::string& title) {
  const std::string& status = answer.at("status").as_string();
  std::string out = "<p" + std::string(status == "ok" ? "" : " class=\"bad\"") + ">" + title + ", status " + escaped(status) + ", " +
                    std::to_string(answer.at("ids").items().size()) + " tokens";
  if (const Json* error = answer.find("error")) out += ": " + escaped(error->as_string());
  return out + "</p><pre>" + escaped(answer.at("text").as_string()) + "</pre>\n";
}

std::string record_html(const std::string& id, const Json& record, const Json& outcome) {
  std::string first = outcome.at("answers").items().empty() ? "" : outcome.at("answers").items()[0].at("text").as_string();
  std::string out = "<details><summary><b>" + escaped(id) + "</b> <span class=\"dim\">" +
                    escaped(first.substr(0, first.find('\n')).substr(0, 160)) + "</span></summary>\n<table>";
  for (const Json& f : record.at("fields").items()) out += row(escaped(f.items().at(0).as_string()).c_str(), shown_field(f));
  out += "</table>\n";
  if (record.at("prompt").is_string())
    out += "<p>prompt, " + std::to_string(record.at("prompt_ids").items().size()) + " tokens</p><pre>" +
           escaped(record.at("prompt").as_string()) + "</pre>\n";
  const Json::Array& answers = outcome.at("answers").items();
  for (size_t i = 0; i < answers.size(); ++i) out += answer_html(answers[i], answer_title(i, answers.size()));
  return out + "</details>\n";
}

}  // namespace

void write_html(const Bundle& bundle, uint64_t limit, OutputFile& out) {
  const BundleIds& ids = bundle.ids();
  out.write(kHead);
  out.write("<h1>ibid bundle</h1><table>\n" + row("bundle", ids.bundle_id) + row("step", ids.step_id) + row("result", ids.result_digest) +
            row("input", ids.input_digest) + row("model", bundle.config().at("model").at("digest").as_string()) +
            row("records", std::to_string(ids.records)) + (bundle.shard() ? row("part", bundle.shard()->describe()) : "") + "</table>\n");
  for (const auto& [status, count] : bundle.statuses()) out.write("<p>" + std::to_string(count) + " records " + escaped(status) + "</p>\n");
  out.write("<h2>The step as written (no id covers this text)</h2><pre>" + escaped(bundle.step_text()) + "</pre>\n");
  if (const std::string changed = changed_from_written(bundle); !changed.empty())
    out.write("<pre class=\"bad\">" + escaped(changed) + "</pre>\n");
  out.write("<h2>Records</h2>\n");
  uint64_t shown = std::min(limit, ids.records);
  BundleCursor cursor(bundle);
  for (uint64_t n = 0; n < shown; ++n) {
    ProvedRecord r = cursor.at(bundle.first() + n);
    out.write(record_html(r.id, r.record, r.outcome));
  }
  if (shown < ids.records) out.write("<p class=\"dim\">" + std::to_string(ids.records - shown) + " more records are in the bundle</p>\n");
  out.write("</body></html>\n");
}

}  // namespace ibid::step
