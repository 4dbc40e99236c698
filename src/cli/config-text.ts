/**
 * What does a configuration file look like? `it-mqtt help config` and docs/CLI.md print this text.
 */

const CONFIG_EXAMPLE = `[default]                            # counts if no profile is named
url = "mqtt://localhost"

[plant]                              # it-mqtt -c plant sub ...
url = "mqtts://plant.example"
username = "anna"
password-file = "plant.password"     # paths count from the folder of this file
cafile = "plant-ca.pem"
qos = 1
property = ["connect receive-maximum 100"]
`

export function configText(): string {
  return `The configuration file is it-mqtt/config.toml in $XDG_CONFIG_HOME, or else in ~/.config;
--config names another. It is written in TOML:

${CONFIG_EXAMPLE.replace(/^(?=.)/gm, '    ')}
Each [name] begins a profile, and an option above the first of them is refused. A key is the long
name of an option without its dashes; options that a command does not have are left out.

-c plant before the command, or --profile plant anywhere, takes the profile [plant]; otherwise
[default] counts, if there is one. The command line wins over the profile. A server there (-h,
--url, -L, --unix) replaces that of the profile as a whole; -p alone replaces its port only, and
that of IT_MQTT_URL. A profile that was named wins over the environment (IT_MQTT_URL,
IT_MQTT_PASSWORD), and the environment wins over [default].
`
}
