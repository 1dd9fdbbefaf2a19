// What is written from the table of commands besides help: the manual page and the shells' completions. They know no command by name,
// so they cannot fall behind the table.
#pragma once
#include <string>

namespace ibid::step {

std::string man_page();                               // roff, macros of man(7): 'ibid man | man -l -' shows it
std::string completions(const std::string& shell);    // bash, zsh or fish; errors: usage

}  // namespace ibid::step
