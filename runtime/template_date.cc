// strftime without a clock, a zone or a locale: the date is given, the time is midnight, the names are English.
// Declared in template_builtins.h.
#include <array>
#include <string>

#include "runtime/template_builtins.h"

namespace ibid::runtime {
namespace {

constexpr std::array<const char*, 12> kMonths = {"January", "February", "March", "April", "May", "June", "July", "August", "September",
                                                 "October", "November", "December"};
constexpr std::array<const char*, 7> kDays = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

struct Date { int year, month, day; };

bool is_leap(int y) { return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0; }

int days_in(int year, int month) {
  constexpr std::array<int, 12> days = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return days[static_cast<size_t>(month - 1)] + (month == 2 && is_leap(year));
}

int day_of_year(const Date& d) {                       // from 1
  int n = d.day;
  for (int m = 1; m < d.month; ++m) n += days_in(d.year, m);
  return n;
}

int day_of_week(const Date& d) {                       // 0: Sunday
  int y = d.year - 1;
  return (y * 365 + y / 4 - y / 100 + y / 400 + day_of_year(d)) % 7;
}

Date parse_date(std::string_view s) {
  auto number = [&](size_t at, size_t count) {
    int v = 0;
    for (size_t i = at; i < at + count; ++i) v = s[i] >= '0' && s[i] <= '9' ? v * 10 + (s[i] - '0') : -100000;
    return v;
  };
  Date d{0, 0, 0};
  if (s.size() == 10 && s[4] == '-' && s[7] == '-') d = {number(0, 4), number(5, 2), number(8, 2)};
  if (d.year < 1000 || d.month < 1 || d.month > 12 || d.day < 1 || d.day > days_in(d.year, d.month))
    fault("'" + std::string(s) + "' is not a date (YYYY-MM-DD)");
  return d;
}

std::string padded(int v, size_t width, char fill = '0') {
  std::string s = std::to_string(v);
  return s.size() >= width ? s : std::string(width - s.size(), fill) + s;
}

}  // namespace

// The directives of C's strftime in the C locale that depend on a date alone; the time of day is midnight.
std::string format_date(std::string_view iso_date, std::string_view format) {
  Date d = parse_date(iso_date);
  int weekday = day_of_week(d);
  std::string out;
  for (size_t at = 0; at < format.size(); ++at) {
    if (format[at] != '%') { out += format[at]; continue; }
    bool bare = at + 1 < format.size() && format[at + 1] == '-';           // glibc's flag: no padding
    at += bare ? 2 : 1;
    if (at >= format.size()) fault("strftime_now(): the format ends with '%'");
    size_t two = bare ? 1 : 2;
    switch (format[at]) {
      case 'Y': out += std::to_string(d.year); break;
      case 'y': out += padded(d.year % 100, two); break;
      case 'm': out += padded(d.month, two); break;
      case 'd': out += padded(d.day, two); break;
      case 'e': out += padded(d.day, two, ' '); break;
      case 'B': out += kMonths[static_cast<size_t>(d.month - 1)]; break;
      case 'b': case 'h': out += std::string(kMonths[static_cast<size_t>(d.month - 1)]).substr(0, 3); break;
      case 'A': out += kDays[static_cast<size_t>(weekday)]; break;
      case 'a': out += std::string(kDays[static_cast<size_t>(weekday)]).substr(0, 3); break;
      case 'j': out += padded(day_of_year(d), bare ? 1 : 3); break;
      case 'u': out += std::to_string(weekday == 0 ? 7 : weekday); break;
      case 'w': out += std::to_string(weekday); break;
      case 'F': out += format_date(iso_date, "%Y-%m-%d"); break;
      case 'D': case 'x': out += format_date(iso_date, "%m/%d/%y"); break;
      case 'H': case 'M': case 'S': out += bare ? "0" : "00"; break;
      case 'I': out += "12"; break;
      case 'p': out += "AM"; break;
      case 'f': out += "000000"; break;
      case 'T': case 'X': out += "00:00:00"; break;
      case 'R': out += "00:00"; break;
      case '%': out += '%'; break;
      case 'n': out += '\n'; break;
      case 't': out += '\t'; break;
      default: fault(std::string("strftime_now(): '%") + format[at] + "' is not supported");
    }
  }
  return out;
}

}  // namespace ibid::runtime
