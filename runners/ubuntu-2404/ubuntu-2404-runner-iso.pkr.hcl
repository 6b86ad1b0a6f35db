# A template of runner VMs: Ubuntu 24.04 from its installer, then the scripts of runners/common. runners/README.md tells
# how to build it. runners/ubuntu-2204 is the same but for names and the installer.

packer {
  required_version = ">= 1.9.0"

  required_plugins {
    proxmox = {
      source = "github.com/hashicorp/proxmox"
      # The first with boot_iso that keeps to the resource pool named.
      version = ">= 1.2.2"
    }
  }
}

# What only you know. packer.pkrvars.hcl is an example.

variable "proxmox_url" {
  type        = string
  description = "Proxmox's API, for example https://pve1.example.org:8006/api2/json."

  validation {
    condition     = can(regex("^https?://.+/api2/json/?$", var.proxmox_url))
    error_message = "The proxmox_url ends with /api2/json, for example https://pve1.example.org:8006/api2/json."
  }
}

variable "proxmox_username" {
  type        = string
  description = "Id of the API token, with its user: USER@REALM!TOKEN."

  validation {
    condition     = can(regex("^[^@!]+@[^@!]+![^@!]+$", var.proxmox_username))
    error_message = "The proxmox_username is the whole id of an API token: USER@REALM!TOKEN, for example mayfly-image@pve!build."
  }
}

variable "proxmox_token" {
  type        = string
  sensitive   = true
  description = "The token's secret, a UUID."
}

variable "proxmox_node" {
  type        = string
  description = "Node that builds the template and keeps it."
}

variable "ssh_password" {
  type        = string
  sensitive   = true
  description = "Password that Packer logs in with while it builds; gone afterwards."
}

variable "ssh_password_hash" {
  type        = string
  sensitive   = true
  description = "The same for Ubuntu's installer: openssl passwd -6 PASSWORD."

  validation {
    condition     = can(regex("^[$](6|y)[$].+", var.ssh_password_hash))
    error_message = "The ssh_password_hash is what openssl passwd -6 PASSWORD prints; it begins with $6$."
  }
}

# Where the template goes.

variable "proxmox_insecure" {
  type        = bool
  default     = false
  description = "True: believe any certificate of proxmox_url. Whoever is on the way can then take the token."
}

variable "proxmox_pool" {
  type        = string
  default     = ""
  description = "Resource pool of the template. A token that may act only in a pool needs it."
}

variable "template_name" {
  type        = string
  default     = "ubuntu-2404-runner-template"
  description = "Name of the template: what template: in mayfly.yaml says."
}

variable "vm_id" {
  type        = number
  default     = 0
  description = "Number of the template; 0: the next that is free. packer build -force replaces an older one of that number."
}

variable "tags" {
  type        = string
  default     = "runner-template"
  description = "Tags of the template, separated by semicolons. Clones inherit them."
}

variable "disk_storage" {
  type        = string
  default     = "local-lvm"
  description = "Storage of the template's disk and cloud-init drive. It should be able to make linked clones."
}

variable "disk_format" {
  type        = string
  default     = "raw"
  description = "raw, or qcow2 for linked clones on directories, NFS and CIFS."
}

variable "disk_size" {
  type        = string
  default     = "32G"
  description = "Size of a runner's disk. On thin storages only what is written takes room."
}

variable "iso_storage" {
  type        = string
  default     = "local"
  description = "Storage with content type iso, for Ubuntu's installer and its answers."
}

variable "bridge" {
  type        = string
  default     = "vmbr0"
  description = "Bridge of the network card, in the build and of runners."
}

variable "vlan_tag" {
  type        = string
  default     = ""
  description = "VLAN of the network card; empty: none."
}

variable "firewall" {
  type        = bool
  default     = false
  description = "True: Proxmox's firewall on the network card."
}

variable "cores" {
  type        = number
  default     = 4
  description = "Processors, in the build and of runners whose pool says nothing else."
}

variable "memory" {
  type        = number
  default     = 4096
  description = "Memory in MiB, in the build and of runners whose pool says nothing else. The installer wants 2048 at least."
}

variable "cpu_type" {
  type        = string
  default     = "host"
  description = "Processor that the guest sees; host is the fastest, and runners never migrate."
}

# Ubuntu's installer.

variable "iso_url" {
  type        = string
  default     = "https://releases.ubuntu.com/24.04/ubuntu-24.04.4-live-server-amd64.iso"
  description = "Ubuntu's server installer. An older point release moves to old-releases.ubuntu.com."
}

variable "iso_checksum" {
  type        = string
  default     = "sha256:e907d92eeec9df64163a7e454cbc8d7755e8ddc7ed42f99dbc80c40f1a138433"
  description = "Its checksum, as in SHA256SUMS beside it."
}

variable "iso_download_pve" {
  type        = bool
  default     = false
  description = "True: the node downloads the installer itself, which takes Sys.AccessNetwork; else Packer does, and uploads it."
}

variable "iso_file" {
  type        = string
  default     = ""
  description = "Installer that is on a storage already, for example local:iso/ubuntu-24.04.4-live-server-amd64.iso; iso_url isn't looked at then."
}

variable "boot_wait" {
  type        = string
  default     = "5s"
  description = "Time from power-on until the installer's menu takes keys. It must be there, and not have started by itself (30s)."
}

# What is in it.

variable "runner_version" {
  type        = string
  default     = ""
  description = "Release of actions/runner, for example 2.335.1, with runner_sha256; empty: the latest, with the checksum that GitHub's API states."
}

variable "runner_sha256" {
  type        = string
  default     = ""
  description = "SHA-256 of that release's linux-x64 archive."

  validation {
    condition     = can(regex("^([0-9a-fA-F]{64})?$", var.runner_sha256))
    error_message = "The runner_sha256 has 64 hex digits: the release's page has them for linux-x64."
  }
}

variable "runner_url" {
  type        = string
  default     = ""
  description = "Where that archive is; empty: GitHub's release."
}

variable "runner_released" {
  type        = string
  default     = ""
  description = "Day of that release, YYYY-MM-DD: Mayfly warns before GitHub refuses it. Known by itself for the latest."
}

variable "runner_user" {
  type        = string
  default     = "runner"
  description = "User that runs jobs."
}

variable "runner_sudo" {
  type        = bool
  default     = true
  description = "True: jobs may use sudo without a password, as on GitHub's own runners."
}

variable "extra_packages" {
  type        = string
  default     = ""
  description = "More packages, separated by spaces."
}

variable "install_docker" {
  type        = bool
  default     = false
  description = "True: Docker, for container jobs, services and container actions."
}

variable "boot_tricks" {
  type        = string
  default     = "all"
  description = "What makes runners boot faster: all, none, or a list of docs/performance.md."
}

variable "identity_deadline" {
  type        = string
  default     = ""
  description = "A runner that no identity came to powers off after this, for example 1d, 90min, none; empty: 1d."
}

variable "password_login" {
  type        = bool
  default     = false
  description = "True: ssh_username and its password stay in the template, for looking into runners. Jobs' VMs are reachable with it."
}

# The way out.

variable "apt_proxy" {
  type        = string
  default     = ""
  description = "Proxy or cache of apt while the template is built."
}

variable "http_proxy" {
  type        = string
  default     = ""
  description = "Proxy while the template is built, and of every job. Every job can read it."
}

variable "https_proxy" {
  type        = string
  default     = ""
  description = "The same for HTTPS."
}

variable "no_proxy" {
  type        = string
  default     = ""
  description = "Names that go without a proxy, separated by commas."
}

# The build itself.

variable "ssh_username" {
  type        = string
  default     = "packer"
  description = "User that Packer logs in as; gone afterwards."
}

variable "install_timeout" {
  type        = string
  default     = "60m"
  description = "Time for Ubuntu's installer until the agent tells an address and SSH answers."
}

locals {
  image   = "ubuntu-2404"
  version = formatdate("YYYYMMDD-hhmm", timestamp())

  # https://canonical-subiquity.readthedocs-hosted.com/en/latest/reference/autoinstall-reference.html
  # It goes to the VM as a disc: the VM need not reach the machine that Packer runs on.
  autoinstall = {
    version  = 1
    locale   = "en_US.UTF-8"
    timezone = "UTC"
    keyboard = { layout = "us" }

    # Packer would take the installer's own SSH server for the installed system's.
    early-commands = [
      "systemctl stop ssh.socket ssh.service || true",
    ]

    network = {
      version = 2
      ethernets = {
        build = {
          match           = { name = "en*" }
          dhcp4           = true
          dhcp-identifier = "mac"
        }
      }
    }

    proxy = var.http_proxy == "" ? null : var.http_proxy

    # One partition, no LVM, no swap.
    storage = {
      layout = { name = "direct" }
      swap   = { size = 0 }
    }

    identity = {
      hostname = "runner"
      username = var.ssh_username
      password = var.ssh_password_hash
    }

    ssh = {
      install-server = true
      allow-pw       = true
    }

    # Packer learns the address from the agent.
    packages = ["qemu-guest-agent"]
    updates  = "security"

    # runners/packer/build.sh takes that rule away again.
    late-commands = [
      "echo '${var.ssh_username} ALL=(ALL) NOPASSWD: ALL' > /target/etc/sudoers.d/90-packer-build",
      "chmod 0440 /target/etc/sudoers.d/90-packer-build",
      "timeout 60 curtin in-target --target=/target -- systemctl enable qemu-guest-agent.service || true",
    ]
  }

  # Settings of runners/common/provision.sh; what is empty is not set.
  settings = {
    IMAGE_NAME        = local.image
    IMAGE_VERSION     = local.version
    RUNNER_VERSION    = var.runner_version
    RUNNER_SHA256     = var.runner_sha256
    RUNNER_URL        = var.runner_url
    RUNNER_RELEASED   = var.runner_released
    RUNNER_USER       = var.runner_user
    RUNNER_SUDO       = tostring(var.runner_sudo)
    EXTRA_PACKAGES    = var.extra_packages
    INSTALL_DOCKER    = tostring(var.install_docker)
    BOOT_TRICKS       = var.boot_tricks
    IDENTITY_DEADLINE = var.identity_deadline
    PASSWORD_LOGIN    = tostring(var.password_login)
    APT_PROXY         = var.apt_proxy
    http_proxy        = var.http_proxy
    https_proxy       = var.https_proxy
    no_proxy          = var.no_proxy
    BUILD_USER        = var.ssh_username
  }
}

source "proxmox-iso" "runner" {
  proxmox_url              = var.proxmox_url
  username                 = var.proxmox_username
  token                    = var.proxmox_token
  insecure_skip_tls_verify = var.proxmox_insecure
  node                     = var.proxmox_node
  pool                     = var.proxmox_pool
  task_timeout             = "15m"

  vm_id                = var.vm_id
  vm_name              = "${local.image}-build-${local.version}"
  template_name        = var.template_name
  template_description = "Runner of GitHub Actions: ${local.image} ${local.version}, built with Packer."
  tags                 = var.tags

  os              = "l26"
  bios            = "seabios"
  cpu_type        = var.cpu_type
  cores           = var.cores
  memory          = var.memory
  scsi_controller = "virtio-scsi-single"
  serials         = ["socket"]
  qemu_agent      = true
  onboot          = false

  # The disk first, which doesn't boot as long as it is empty; the installer, never the disc with its answers.
  boot = "order=scsi0;ide2"

  disks {
    type                = "scsi"
    storage_pool        = var.disk_storage
    format              = var.disk_format
    disk_size           = var.disk_size
    discard             = true
    io_thread           = true
    ssd                 = true
    exclude_from_backup = true
  }

  network_adapters {
    model    = "virtio"
    bridge   = var.bridge
    vlan_tag = var.vlan_tag
    firewall = var.firewall
  }

  # Where the hand-offs snippet and Proxmox's own settings come in.
  cloud_init              = true
  cloud_init_disk_type    = "ide"
  cloud_init_storage_pool = var.disk_storage

  boot_iso {
    type             = "ide"
    index            = "2"
    iso_file         = var.iso_file == "" ? null : var.iso_file
    iso_url          = var.iso_file == "" ? var.iso_url : null
    iso_checksum     = var.iso_file == "" ? var.iso_checksum : null
    iso_storage_pool = var.iso_storage
    iso_download_pve = var.iso_download_pve
    unmount          = true
  }

  # Packer makes it with xorriso, mkisofs, hdiutil or oscdimg.
  additional_iso_files {
    type  = "ide"
    index = "3"
    cd_content = {
      "meta-data" = "instance-id: ${local.image}-${local.version}\n"
      # JSON is YAML too, and leaves no doubt about quotes.
      "user-data" = "#cloud-config\n${jsonencode({ autoinstall = local.autoinstall })}\n"
    }
    cd_label         = "cidata"
    iso_storage_pool = var.iso_storage
    unmount          = true
  }

  # The installer's GRUB: its command line, since menus differ between releases.
  boot_wait = var.boot_wait
  boot_command = [
    "c<wait3>",
    "linux /casper/vmlinuz autoinstall ds=nocloud ---<enter><wait3>",
    "initrd /casper/initrd<enter><wait3>",
    "boot<enter>",
  ]

  communicator           = "ssh"
  ssh_username           = var.ssh_username
  ssh_password           = var.ssh_password
  ssh_timeout            = var.install_timeout
  ssh_handshake_attempts = 100
}

build {
  sources = ["source.proxmox-iso.runner"]

  # Becomes /tmp/common.
  provisioner "file" {
    source      = "${path.root}/../common"
    destination = "/tmp"
  }

  provisioner "shell" {
    script           = "${path.root}/../packer/build.sh"
    environment_vars = [for name, value in local.settings : "${name}=${value}" if value != ""]
    execute_command  = "sudo -n env {{ .Vars }} sh '{{ .Path }}'"
    # It removes itself, and the user that would.
    skip_clean = true
    timeout    = "90m"
  }
}
